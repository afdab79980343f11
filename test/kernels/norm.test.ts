// RMSNorm, forward and backward, against the reference.
import { describe, test } from "vitest";
import { inverseRms, rmsNorm, rmsNormBackward } from "../../core/model/reference/norm.ts";
import { Random } from "../../core/random.ts";
import { norm, normBackward } from "../../web/engine/operations.ts";
import { expectClose, uniformSingle } from "../fixtures/arrays.ts";
import { runOperations, unset } from "./run-operations.ts";

/** Sums over up to 193 values. */
const TOLERANCE = { relative: 2e-6 };

describe.each(
  [
    { R: 1, C: 1, eps: 1e-5 },
    { R: 7, C: 13, eps: 1e-5 },
    { R: 64, C: 64, eps: 1e-5 },
    { R: 67, C: 193, eps: 0.5 },
    { R: 193, C: 67, eps: 1e-6 },
  ].flatMap((shape) => (["alone", "workgroup"] as const).map((row) => ({ row, ...shape }))),
)("RMSNorm, rows by $row, R $R, C $C, eps $eps", ({ row, ...shape }) => {
  const { R, C, eps } = shape;
  const random = new Random(R + C);
  const x = uniformSingle(random, R * C, 3);
  const gain = uniformSingle(random, C, 2);
  const dy = uniformSingle(random, R * C);
  const expected = rmsNormBackward(x, gain, dy, shape);

  test("forward", async () => {
    const { y } = await runOperations({ x, gain, y: unset(R * C) }, ({ x, gain, y }) => [
      norm(row, shape, eps, x, gain, y),
    ]);
    expectClose(y, rmsNorm(x, gain, shape), TOLERANCE);
  });

  test.each([false, true])("backward, adding to dx: %s; always to the gain's gradient", async (adds) => {
    const before = uniformSingle(random, R * C);
    const dgain = uniformSingle(random, C);
    const arrays = { x, gain, dy, dx: adds ? before : unset(R * C), dgain, scales: unset(R) };
    const results = await runOperations(arrays, (buffers) => normBackward(row, shape, eps, buffers, adds));
    const dx = expected.dx.map((value, i) => value + (adds ? before[i] : 0));
    // One column: dx is a difference of nearly equal numbers.
    expectClose(results.dx, dx, { ...TOLERANCE, absolute: 1e-6 });
    const dGain = expected.dGain.map((value, i) => value + dgain[i]);
    expectClose(results.dgain, dGain, TOLERANCE);
    expectClose(results.scales, inverseRms(x, shape), TOLERANCE);
  });
});

test("a row of zeros stays zero", async () => {
  const arrays = { x: new Float64Array(5), gain: new Float64Array(5).fill(2), y: unset(5) };
  const { y } = await runOperations(arrays, ({ x, gain, y }) => [
    norm("alone", { R: 1, C: 5 }, 1e-5, x, gain, y),
  ]);
  expectClose(y, new Float64Array(5), { relative: 0 });
});
