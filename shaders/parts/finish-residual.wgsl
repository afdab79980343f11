// What becomes of a matrix product: C = residual + product.

@group(0) @binding(2) var<storage, read_write> c: array<vec4f>;
@group(0) @binding(3) var<storage, read> residual: array<vec4f>;

fn put(m: u32, quad: u32, values: vec4f) {
  let i = m * shape.columns + quad;
  c[i] = residual[i] + values;
}
