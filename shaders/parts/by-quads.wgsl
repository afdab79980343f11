// Each quad of columns of a matrix product stands for itself, and is finished by itself (`put`).

fn column(quad: u32) -> u32 {
  return min(quad, shape.columns - 1);
}

fn finish(m: u32, quad: u32, first: vec4f, second: vec4f) {
  if (quad < shape.columns) { put(m, quad, first); }
  if (quad + 4 < shape.columns) { put(m, quad + 4, second); }
}
