// SwiGLU's gate in float64. Source: Shazeer, "GLU Variants Improve Transformer", 2020.
// Not here: the three projections around it (matmul.ts).

/** y = silu(gate) * up, elementwise; silu(x) = x / (1 + e^-x). All arrays of one length. */
export function swiglu(gate: Float64Array, up: Float64Array): Float64Array {
  return gate.map((g, i) => g * sigmoid(g) * up[i]);
}

/** dGate = dy * up * silu'(gate), dUp = dy * silu(gate); silu'(x) = s (1 + x (1 - s)) with s = sigmoid(x). */
export function swigluBackward(
  gate: Float64Array,
  up: Float64Array,
  dy: Float64Array,
): { dGate: Float64Array; dUp: Float64Array } {
  return {
    dGate: gate.map((g, i) => dy[i] * up[i] * sigmoid(g) * (1 + g * (1 - sigmoid(g)))),
    dUp: gate.map((g, i) => dy[i] * g * sigmoid(g)),
  };
}

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));
