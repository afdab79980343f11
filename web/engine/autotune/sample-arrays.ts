// Arrays for checking kernels: random values, and matrices cut into columns and put side by side.
import { floatToHalf } from "../../../core/formats/half.ts";
import type { Random } from "../../../core/random.ts";

/** In [-1, 1), each exact in f32: what a kernel and its reference can both start from. */
export function uniform(random: Random, length: number): Float64Array {
  return Float64Array.from({ length }, () => Math.fround(random.unit() * 2 - 1));
}

/** In [-1, 1), each exact in f16. */
export function uniformHalf(random: Random, length: number): Float64Array {
  return Float64Array.from({ length }, () => (random.below(4096) - 2048) / 2048);
}

/** Bits of values that f16 has. */
export const inHalves = (values: Float64Array): Uint16Array<ArrayBuffer> =>
  Uint16Array.from(values, floatToHalf);

/** Columns [from, to) of a matrix with `width` columns. */
export function columns(matrix: Float64Array, width: number, from: number, to: number): Float64Array {
  return matrix.filter((_, i) => i % width >= from && i % width < to);
}

/** Matrices of the same number of rows, `widths[i]` columns each. */
export function sideBySide(matrices: readonly Float64Array[], widths: readonly number[]): Float64Array {
  const width = widths.reduce((sum, own) => sum + own, 0);
  const rows = matrices[0]!.length / widths[0]!;
  const out = new Float64Array(rows * width);
  let first = 0;
  for (const [i, matrix] of matrices.entries()) {
    const own = widths[i]!;
    for (let row = 0; row < rows; row++) {
      out.set(matrix.subarray(row * own, (row + 1) * own), row * width + first);
    }
    first += own;
  }
  return out;
}
