// Whether a whole product is right, without making it again: C r against A (B r) for a random r, in float64.
// Source: Freivalds, "Probabilistic machines can use less running time", 1977.
import { Random } from "../../core/random.ts";
import type { MatmulProblem } from "./contender.ts";

/** f32 sums of random signs are off by about 1e-6 of the largest value of C r; one wrong value of C is seen far above. */
const TOLERANCE = 1e-4;

/** What is wrong with `c` as the product of a and b, or null. */
export function productIsWrong({ n, a, b }: MatmulProblem, c: Float32Array): string | null {
  if (c.length !== n * n) return `the product has ${c.length} values, not ${n * n}`;
  const random = new Random(n);
  const r = Float64Array.from({ length: n }, () => (random.unit() < 0.5 ? -1 : 1));
  const expected = times(a, times(b, r));
  const actual = times(c, r);
  const largest = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  const wrong = expected.findIndex((value, i) => !(Math.abs(actual[i] - value) <= TOLERANCE * largest));
  return wrong < 0 ? null : `row ${wrong} of the product sums to ${actual[wrong]}, not ${expected[wrong]}`;
}

function times(matrix: Float32Array, vector: Float64Array): Float64Array {
  const n = vector.length;
  return Float64Array.from({ length: n }, (_, row) => {
    let sum = 0;
    for (let column = 0; column < n; column++) sum += matrix[row * n + column] * vector[column];
    return sum;
  });
}
