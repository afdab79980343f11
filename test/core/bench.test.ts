// The pure parts of the benchmark: counts, statistics, the check of a product, the page that is drawn up.
// Not here: its options (test/server/bench-options.test.ts), and anything that takes time.
import { expect, test } from "vitest";
import { parameterSpace } from "../../core/model/parameters.ts";
import { Random } from "../../core/random.ts";
import { matmulFlops, stepFlops } from "../bench/flops.ts";
import { productIsWrong } from "../bench/freivalds.ts";
import { duration, renderBenchmarks } from "../bench/markdown.ts";
import type { Result, Row } from "../bench/result.ts";
import { mixedCluster } from "../bench/plan/clusters.ts";
import { renderPlanResult } from "../bench/plan/measure.ts";
import { median } from "../bench/statistics.ts";
import { smallModel } from "../fixtures/models.ts";

test("a product of n counts n³ multiplications and as many additions", () => {
  expect(matmulFlops(10)).toBe(2000);
});

test("a step counts every matrix but the embedding six times a token, and half of attention's square", () => {
  const model = smallModel();
  const { layers, width, vocab, context } = model;
  const gains = (2 * layers + 1) * width;
  const matrices = parameterSpace(model).parameters - gains - vocab * width;
  const attention = 3 * layers * (context * context * width * 2);
  expect(stepFlops(model, 1)).toBe(6 * matrices * context + attention);
  expect(stepFlops(model, 3)).toBe(3 * stepFlops(model, 1));
});

test("the median is the middle, or the mean of two, whatever the order", () => {
  expect(median([3])).toBe(3);
  expect(median([9, 1, 5])).toBe(5);
  expect(median([4, 1, 3, 2])).toBe(2.5);
  expect(median([100, 20, 3])).toBe(20);
});

test("a product is right as it is, and wrong when one value is", () => {
  const n = 33;
  const random = new Random(1);
  const matrix = () => Float32Array.from({ length: n * n }, () => random.unit() * 2 - 1);
  const problem = { n, halves: false, a: matrix(), b: matrix() };
  const c = new Float32Array(n * n);
  for (let row = 0; row < n; row++) {
    for (let column = 0; column < n; column++) {
      let sum = 0;
      for (let k = 0; k < n; k++) sum += problem.a[row * n + k] * problem.b[k * n + column];
      c[row * n + column] = sum;
    }
  }
  expect(productIsWrong(problem, c)).toBe(null);
  const changed = c.slice();
  changed[5 * n + 7] += 0.1;
  expect(productIsWrong(problem, changed)).toMatch(/^row 5 of the product/);
  changed[5 * n + 7] = NaN;
  expect(productIsWrong(problem, changed)).toMatch(/^row 5 of the product sums to NaN/);
  expect(productIsWrong(problem, c.subarray(1))).toMatch(/has 1088 values, not 1089/);
});

test("durations have three digits", () => {
  const cases = [0.0001234, 0.01234, 0.1234, 1.234, 12.34, 123.4].map(duration);
  expect(cases).toEqual(["0.123 ms", "12.3 ms", "123 ms", "1.23 s", "12.3 s", "123 s"]);
});

function result(rows: Row[], changes: Partial<Result> = {}): Result {
  return {
    command: "kernels",
    runtime: "Chromium 1",
    adapter: "google swiftshader",
    processor: "2 × a processor",
    date: "2026-01-02",
    packages: { ours: "0.1.0", jax: "3.2.1" },
    measurements: [{ title: "matmul, 1000", flops: 2e9, counted: "2 n³", rows }],
    ...changes,
  };
}

test("the page says where, which versions, and each contender's figures against ours", () => {
  const page = renderBenchmarks([
    result([
      { outcome: "measured", contender: "ours", seconds: [0.5, 0.4, 0.9], times: 1 },
      { outcome: "measured", contender: "jax", seconds: [1], times: 8 },
      { outcome: "wrong", contender: "tfjs", why: "row 0 is off" },
    ]),
  ]);
  expect(page).toContain("## kernels: Chromium 1, adapter google swiftshader");
  expect(page).toContain("2026-01-02; 2 × a processor; ours 0.1.0, jax 3.2.1.");
  expect(page).toContain("**matmul, 1000**: 2.00 GFLOP (2 n³).");
  expect(page).toContain("| ours | 500 ms | 400 ms–900 ms | 3 | 4.00 | 1.00× |");
  expect(page).toContain("| jax | 1.00 s | 1.00 s–1.00 s | 1 × 8 | 2.00 | 2.00× |");
  expect(page).toContain("| tfjs | wrong |  |  |  |  |");
  expect(page).toContain("tfjs, wrong: row 0 is off.");
});

test("codecs are told in GB/s, those without kernels with nothing for the GPU", () => {
  const speeds = { encode: [1, 3, 2], decode: [0.5] };
  const errors = [{ data: "normal", once: 0.0081, summed: 0.00123 }];
  const row = { bytes: 5e8, script: speeds, errors };
  const codecs: Result["codecs"] = {
    values: 1e9,
    rounds: 20,
    rows: [
      { ...row, codec: "int4", gpu: { encode: [0.1], decode: [0.01] } },
      { ...row, codec: "f16", bytes: 2e9, gpu: null },
    ],
    reducers: [
      { codec: "int4", values: 2 ** 18, sites: 2, seconds: [0.003, 0.001, 0.002] },
      { codec: "int4", values: 2 ** 18, sites: 8, seconds: [0.004] },
    ],
  };
  const page = renderBenchmarks([result([], { command: "reduce", measurements: [], codecs })]);
  expect(page).toContain("| error, normal | of 20, normal |");
  expect(page).toContain("| int4 | 4.00 | 2.00 | 8.00 | 40.0 | 400 | 0.0081 | 0.0012 |");
  expect(page).toContain("| f16 | 16.0 | 2.00 | 8.00 |  |  | 0.0081 | 0.0012 |");
  expect(page).toContain("| codec | MiB of f32 | 2 sites | 8 sites |");
  expect(page).toContain("| int4 | 1 | 2.00 | 4.00 |");
});

test("without ours there is no ratio", () => {
  const page = renderBenchmarks([
    result([{ outcome: "measured", contender: "jax", seconds: [2], times: 1 }]),
  ]);
  expect(page).toContain("| jax | 2.00 s | 2.00 s–2.00 s | 1 | 1.00 |  |");
});

test("that there are no figures of a GPU is said as long as it is so", () => {
  const rows: Row[] = [{ outcome: "measured", contender: "ours", seconds: [1], times: 1 }];
  const software = result(rows);
  expect(renderBenchmarks([software, result(rows, { adapter: "software" })])).toContain(
    "no GPU was to be had",
  );
  expect(renderBenchmarks([software, result(rows, { adapter: "nvidia hopper" })])).not.toContain(
    "no GPU was to be had",
  );
});

test("the planner's table has a line a size", () => {
  const row = { workers: 1000, sites: 20, seconds: [1.5, 1, 2], clock: [3], placed: 300, replicas: 40 };
  const where = { runtime: "Node 20", date: "2026-01-02", processor: "2 × a processor" };
  expect(renderPlanResult({ command: "plan", ...where, rows: [row] })).toContain(
    "| 1,000 | 20 | 1.50 s | 1.00 s–2.00 s | 3.00 s | 3 | 300 | 40 |",
  );
});

test("a cluster to plan for is the same for the same seed", () => {
  expect(mixedCluster(100, 5, 1)).toEqual(mixedCluster(100, 5, 1));
  expect(mixedCluster(100, 5, 1)).not.toEqual(mixedCluster(100, 5, 2));
});
