// Elementwise sums and products in float64, arrays of one length. All are linear: the backward of `add` passes
// dy to both sides, that of `scale` scales dy.

/** a + b: the residual connection. */
export function add(a: Float64Array, b: Float64Array): Float64Array {
  return a.map((value, i) => value + b[i]);
}

/** x * factor. */
export function scale(x: Float64Array, factor: number): Float64Array {
  return x.map((value) => value * factor);
}

/** total += x, in place. */
export function accumulate(total: Float64Array, x: Float64Array): void {
  for (let i = 0; i < total.length; i++) total[i] += x[i];
}
