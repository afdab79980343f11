// What becomes of a matrix product: C = product, or C = C + product where the shape says so.

@group(0) @binding(2) var<storage, read_write> c: array<vec4f>;

fn put(m: u32, quad: u32, values: vec4f) {
  let i = m * shape.columns + quad;
  if (shape.accumulate != 0) {
    c[i] += values;
  } else {
    c[i] = values;
  }
}
