// Products cut into slices and parts give what the whole ones give.
import { describe, expect, test } from "vitest";
import { matmul as reference } from "../../core/model/reference/matmul.ts";
import { Random } from "../../core/random.ts";
import type { Product } from "../../web/engine/matmul.ts";
import { multiply } from "../../web/engine/multiply.ts";
import { tuningFor } from "../../web/engine/tuning.ts";
import { expectClose, uniformSingle } from "../fixtures/arrays.ts";
import { gpu } from "./device.ts";
import { runOperations, unset } from "./run-operations.ts";

const TOLERANCE = { relative: 2e-6 };
const whole = tuningFor(gpu);

describe.each([
  { layout: "nt", M: 150, N: 12, K: 8 },
  { layout: "nn", M: 150, N: 12, K: 8 },
  { layout: "tn", M: 8, N: 12, K: 150 },
] as const)("$layout in slices of 64 rows", (product) => {
  const { layout, M, N, K } = product;
  const random = new Random(K);
  const a = uniformSingle(random, M * K);
  const b = uniformSingle(random, K * N);
  const expected = reference(a, b, { M, N, K, transposeA: layout === "tn", transposeB: layout === "nt" });
  const tuning = { ...whole, longestDispatch: (2 * M * N * K) / 3 };

  test("stored and accumulated", async () => {
    const before = uniformSingle(random, M * N);
    const arrays = { a, b, stored: unset(M * N), accumulated: before };
    const results = await runOperations(arrays, ({ a, b, stored, accumulated }) => {
      const operations = [
        ...multiply(tuning, product, a, b, { kind: "store", c: stored }),
        ...multiply(tuning, product, a, b, { kind: "accumulate", c: accumulated }),
      ];
      expect(operations.length).toBe(6);
      return operations;
    });
    expectClose(results.stored, expected, TOLERANCE);
    expectClose(
      results.accumulated,
      expected.map((value, i) => value + before[i]),
      TOLERANCE,
    );
  });
});

test("the epilogues of a block in slices have the bits of the whole", async () => {
  const [M, F, C] = [130, 20, 8];
  const random = new Random(1);
  const up: Product = { layout: "nt", M, N: 2 * F, K: C };
  const down: Product = { layout: "nt", M, N: C, K: F };
  const back: Product = { layout: "nn", M, N: F, K: C };
  const arrays = {
    x: uniformSingle(random, M * C),
    w: uniformSingle(random, 2 * F * C),
    v: uniformSingle(random, C * F),
    hidden: unset(2 * M * F),
    act: unset(M * F),
    y: unset(M * C),
    again: unset(M * F),
  };
  const run = (longestDispatch: number) =>
    runOperations(arrays, ({ x, w, v, hidden, act, y, again }) => {
      const tuning = { ...whole, longestDispatch };
      return [
        ...multiply(tuning, up, x, w, { kind: "swiglu", c: hidden, act }),
        ...multiply(tuning, down, act, v, { kind: "residual", c: y, residual: x }),
        ...multiply(tuning, back, y, v, { kind: "swiglu-backward", hidden, act: again }),
      ];
    });
  expect(await run(2 * M * C * F - 1)).toEqual(await run(Infinity));
});

test("a weight gradient in parts", async () => {
  const [M, N, K] = [12, 20, 150];
  const random = new Random(2);
  const a = uniformSingle(random, M * K);
  const b = uniformSingle(random, K * N);
  const before = uniformSingle(random, M * N);
  const expected = reference(a, b, { M, N, K, transposeA: true, transposeB: false });
  const tuning = {
    ...whole,
    matmul: () => ({ kind: "tiled", rows: 4, quads: 2, side: 8 }) as const,
    splits: () => 4,
  };
  // Room for three parts of the four.
  const idle = unset(3 * M * N + 5);
  const { c } = await runOperations({ a, b, c: before, idle }, ({ a, b, c, idle }) => {
    const room = { ...idle, offset: 0, size: (3 * M * N + 5) * 4 };
    const product: Product = { layout: "tn", M, N, K };
    const operations = multiply(tuning, product, a, b, { kind: "accumulate", c }, room);
    expect(operations[0]!.workgroups).toEqual([1, 1, 3]);
    return operations;
  });
  expectClose(
    c,
    expected.map((value, i) => value + before[i]),
    TOLERANCE,
  );
});
