// What becomes of a matrix product whose N = 2 F columns are a gate and its values side by side: C[M,2F] keeps both,
// act[M,F] = silu(gate) up (Shazeer, 2020). An invocation's two quads, 4 apart, are made one of the gate and the
// one of the values that belongs to it.

@group(0) @binding(2) var<storage, read_write> c: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> act: array<vec4f>;

fn column(quad: u32) -> u32 {
  let within = min((quad >> 3) * 4 + (quad & 3), shape.columns / 2 - 1);
  return select(within, within + shape.columns / 2, (quad & 4) != 0);
}

fn finish(m: u32, quad: u32, gate: vec4f, up: vec4f) {
  let within = (quad >> 3) * 4 + (quad & 3);
  if (within >= shape.columns / 2) { return; }
  c[m * shape.columns + within] = gate;
  c[m * shape.columns + shape.columns / 2 + within] = up;
  act[m * shape.columns / 2 + within] = gate / (1.0 + exp(-gate)) * up;
}
