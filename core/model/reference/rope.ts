// Rotary position embedding in float64. Source: Su et al., "RoFormer", 2021, with element i of a head paired
// with element i + D/2 (`rotate_half`), as Hugging Face's Llama does; the paper pairs neighbours.

/** R = B*T rows of `heads` heads of D elements; the position of row r is r % T. */
export interface RopeShape {
  readonly R: number;
  readonly T: number;
  readonly heads: number;
  readonly D: number;
  /** Base of the angles: pair i of a head turns by position * theta^(-2i/D), i < D/2. */
  readonly theta: number;
}

/** x[R, heads*D] with each pair (a, b) = (x[i], x[i + D/2]) turned to (a cos - b sin, b cos + a sin). */
export function rope(x: Float64Array, shape: RopeShape): Float64Array {
  return rotate(x, shape, 1);
}

/** dx[R, heads*D] for dy[R, heads*D]: the transpose of a rotation is its inverse. */
export function ropeBackward(dy: Float64Array, shape: RopeShape): Float64Array {
  return rotate(dy, shape, -1);
}

function rotate(x: Float64Array, { R, T, heads, D, theta }: RopeShape, direction: 1 | -1): Float64Array {
  const y = new Float64Array(x.length);
  const half = D / 2;
  for (let r = 0; r < R; r++) {
    for (let h = 0; h < heads; h++) {
      for (let i = 0; i < half; i++) {
        const angle = direction * (r % T) * theta ** ((-2 * i) / D);
        const first = (r * heads + h) * D + i;
        const second = first + half;
        y[first] = x[first] * Math.cos(angle) - x[second] * Math.sin(angle);
        y[second] = x[second] * Math.cos(angle) + x[first] * Math.sin(angle);
      }
    }
  }
  return y;
}
