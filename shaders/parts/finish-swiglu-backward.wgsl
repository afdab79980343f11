// What becomes of the product that gives d = dact[M,F]: hidden[M,2F], gate and up side by side, becomes the gradient by
// itself, and act[M,F] is made again.
// dgate = d up s (1 + gate (1 - s)), dup = d gate s, s = sigmoid(gate).
// Safe in place: a quad of the product is finished once, and no other reads the two quads of hidden that it replaces.

@group(0) @binding(2) var<storage, read_write> hidden: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> act: array<vec4f>;

fn put(m: u32, quad: u32, d: vec4f) {
  let i = 2 * m * shape.columns + quad;
  let gate = hidden[i];
  let up = hidden[i + shape.columns];
  let s = 1.0 / (1.0 + exp(-gate));
  act[m * shape.columns + quad] = gate * s * up;
  hidden[i] = d * up * s * (1.0 + gate * (1.0 - s));
  hidden[i + shape.columns] = d * gate * s;
}
