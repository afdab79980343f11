// SwiGLU and sums, against the reference; also over more values than one row of workgroups covers.
import { describe, expect, test } from "vitest";
import { accumulate } from "../../web/engine/operations.ts";
import { runOperations } from "./run-operations.ts";

/** Just over 65,535 workgroups of 64. */
const LARGE = 65_535 * 64 + 77;

describe.each([1, 67, LARGE])("sums over %i values", (size) => {
  test("every value is added once", async () => {
    const x = Float64Array.from({ length: size }, (_, i) => i % 1000);
    const y = Float64Array.from({ length: size }, (_, i) => i % 7);
    const results = await runOperations({ x, y }, ({ x, y }) => [accumulate(size, x, y)]);
    expect(results.y.findIndex((value, i) => value !== x[i] + y[i])).toBe(-1);
  });
});
