// What becomes of a matrix product: C = product, or C = C + product where the shape says so.

@group(0) @binding(2) var<storage, read_write> c: array<vec4f>;

fn column(quad: u32) -> u32 {
  return min(quad, shape.columns - 1);
}

fn put(m: u32, quad: u32, values: vec4f) {
  if (quad >= shape.columns) { return; }
  let i = m * shape.columns + quad;
  if (shape.accumulate != 0) {
    c[i] += values;
  } else {
    c[i] = values;
  }
}

fn finish(m: u32, quad: u32, first: vec4f, second: vec4f) {
  put(m, quad, first);
  put(m, quad + 4, second);
}
