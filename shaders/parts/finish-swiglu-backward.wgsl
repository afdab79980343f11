// What becomes of the product that gives d = dact[M,F]: the gradient by gate and up, dhidden[M,2F], and act[M,F] again.
// dgate = d up s (1 + gate (1 - s)), dup = d gate s, s = sigmoid(gate); hidden[M,2F] is gate and up side by side.

@group(0) @binding(2) var<storage, read_write> dhidden: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> act: array<vec4f>;
@group(0) @binding(4) var<storage, read> hidden: array<vec4f>;

fn put(m: u32, quad: u32, d: vec4f) {
  let i = 2 * m * shape.columns + quad;
  let gate = hidden[i];
  let up = hidden[i + shape.columns];
  let s = 1.0 / (1.0 + exp(-gate));
  act[m * shape.columns + quad] = gate * s * up;
  dhidden[i] = d * up * s * (1.0 + gate * (1.0 - s));
  dhidden[i + shape.columns] = d * gate * s;
}
