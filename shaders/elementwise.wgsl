// Elementwise over SIZE values: y = x, y = y + x, or y = y + the PARTS stretches of x.

override SIZE: u32;

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(64)
fn accumulate(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.y * groups.x * 64 + id.x;
  if (i >= SIZE) { return; }
  y[i] += x[i];
}

@compute @workgroup_size(64)
fn copy(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.y * groups.x * 64 + id.x;
  if (i >= SIZE) { return; }
  y[i] = x[i];
}

override PARTS: u32 = 1;

@compute @workgroup_size(64)
fn sum_parts(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.y * groups.x * 64 + id.x;
  if (i >= SIZE) { return; }
  var sum = 0.0;
  for (var part = 0u; part < PARTS; part++) {
    sum += x[part * SIZE + i];
  }
  y[i] += sum;
}
