// Sums and copies, in f32 and to f16, against plain numbers; also over more values than one row of workgroups covers.
import { describe, expect, test } from "vitest";
import { halfToFloat } from "../../core/formats/half.ts";
import { Random } from "../../core/random.ts";
import { uniformSingle } from "../fixtures/arrays.ts";
import { accumulate, copy, toHalves } from "../../web/engine/operations.ts";
import { runOperations, unset } from "./run-operations.ts";

/** Just over 65,535 workgroups of 64. */
const LARGE = 65_535 * 64 + 77;

describe.each([1, 67, LARGE])("over %i values", (size) => {
  test("every value of a sum is added once", async () => {
    const x = Float64Array.from({ length: size }, (_, i) => i % 1000);
    const y = Float64Array.from({ length: size }, (_, i) => i % 7);
    const results = await runOperations({ x, y }, ({ x, y }) => [accumulate(size, x, y)]);
    expect(results.y.findIndex((value, i) => value !== x[i] + y[i])).toBe(-1);
  });

  test("every value is copied", async () => {
    const x = Float64Array.from({ length: size }, (_, i) => i % 1000);
    const { y } = await runOperations({ x, y: unset(size) }, ({ x, y }) => [copy(size, x, y)]);
    expect(y.findIndex((value, i) => value !== x[i])).toBe(-1);
  });
});

describe("copies in f16", () => {
  /** The numbers of packed halves. */
  const numbersOf = (words: Float32Array) =>
    Array.from(new Uint16Array(words.slice().buffer), (bits) => halfToFloat(bits));

  const copyOf = async (x: Float64Array) => {
    const size = x.length;
    const arrays = { x, halves: new Uint32Array(Math.ceil(size / 2)) };
    const { halves } = await runOperations(arrays, ({ x, halves }) => [toHalves(size, x, halves)]);
    return numbersOf(halves).slice(0, size);
  };

  test.each([2, 67, 70_000])("of %i values are within an f16's last place", async (size) => {
    const x = uniformSingle(new Random(size), size, 3);
    const copy = await copyOf(x);
    const wrong = copy.findIndex(
      (value, i) => Math.abs(value - x[i]) > Math.max(2 ** -24, 2 ** -10 * Math.abs(x[i])),
    );
    expect(wrong).toBe(-1);
  });

  test("what f16 can hold stays; what is past its range becomes its largest; what is not finite is seen", async () => {
    const exact = [0, 1, -0.5, 2 ** -14, 65504, -65504, 1 / 1024, 3];
    expect(await copyOf(Float64Array.from(exact))).toEqual(exact);
    expect(await copyOf(Float64Array.of(65520, 1e6, -3e38, -65536))).toEqual([65504, 65504, -65504, -65504]);
    expect(await copyOf(Float64Array.of(NaN, 1, -Infinity, Infinity))).toEqual([NaN, 1, NaN, NaN]);
  });
});
