// RMSNorm in float64. Source: Zhang and Sennrich, "Root Mean Square Layer Normalization", 2019; eps inside the
// root and the gain applied last, as in Llama.

/** R rows of C elements; `eps` is added to the mean square. */
export interface NormShape {
  readonly R: number;
  readonly C: number;
  readonly eps: number;
}

/** s[R], s_r = 1 / sqrt(mean_c(x[r,c]^2) + eps), for x[R,C]. */
export function inverseRms(x: Float64Array, { R, C, eps }: NormShape): Float64Array {
  const inverse = new Float64Array(R);
  for (let r = 0; r < R; r++) {
    let squares = 0;
    for (let c = 0; c < C; c++) squares += x[r * C + c] ** 2;
    inverse[r] = 1 / Math.sqrt(squares / C + eps);
  }
  return inverse;
}

/** y[R,C] = x[R,C] s_r gain[C]. */
export function rmsNorm(x: Float64Array, gain: Float64Array, shape: NormShape): Float64Array {
  const { R, C } = shape;
  const inverse = inverseRms(x, shape);
  const y = new Float64Array(R * C);
  for (let r = 0; r < R; r++) {
    for (let c = 0; c < C; c++) y[r * C + c] = x[r * C + c] * inverse[r] * gain[c];
  }
  return y;
}

/**
 * Gradients of `rmsNorm` at x[R,C] for dy[R,C]:
 * dx[r,c] = s_r gain_c dy[r,c] - x[r,c] s_r^3 / C sum_j(gain_j dy[r,j] x[r,j]);
 * dGain[C] = sum_r dy[r,c] x[r,c] s_r.
 */
export function rmsNormBackward(
  x: Float64Array,
  gain: Float64Array,
  dy: Float64Array,
  shape: NormShape,
): { dx: Float64Array; dGain: Float64Array } {
  const { R, C } = shape;
  const inverse = inverseRms(x, shape);
  const dx = new Float64Array(R * C);
  const dGain = new Float64Array(C);
  for (let r = 0; r < R; r++) {
    const s = inverse[r];
    let dot = 0;
    for (let c = 0; c < C; c++) dot += gain[c] * dy[r * C + c] * x[r * C + c];
    for (let c = 0; c < C; c++) {
      const i = r * C + c;
      dx[i] = s * gain[c] * dy[i] - (x[i] * s ** 3 * dot) / C;
      dGain[c] += dy[i] * x[i] * s;
    }
  }
  return { dx, dGain };
}
