// SwiGLU (Shazeer, 2020): y = silu(gate) up, silu(x) = x sigmoid(x). All arrays [R,F], SIZE values.

override SIZE: u32;

@group(0) @binding(0) var<storage, read> gate: array<f32>;
@group(0) @binding(1) var<storage, read> up: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

fn sigmoid(x: f32) -> f32 {
  return 1.0 / (1.0 + exp(-x));
}

// Sizes pass 65535 workgroups in one dimension: rows of workgroups lie behind each other.
fn index(id: vec3u, groups: vec3u) -> u32 {
  return id.y * groups.x * 64 + id.x;
}

@compute @workgroup_size(64)
fn forward(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = index(id, groups);
  if (i >= SIZE) { return; }
  y[i] = gate[i] * sigmoid(gate[i]) * up[i];
}

@group(0) @binding(3) var<storage, read> dy: array<f32>;
@group(0) @binding(4) var<storage, read_write> dgate: array<f32>;
@group(0) @binding(5) var<storage, read_write> dup: array<f32>;

// dgate = dy up s (1 + gate (1 - s)), dup = dy gate s, s = sigmoid(gate). Makes y again on the way.
@compute @workgroup_size(64)
fn backward(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = index(id, groups);
  if (i >= SIZE) { return; }
  let g = gate[i];
  let s = sigmoid(g);
  y[i] = g * s * up[i];
  dgate[i] = dy[i] * up[i] * s * (1.0 + g * (1.0 - s));
  dup[i] = dy[i] * g * s;
}
