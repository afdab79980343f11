// Elementwise over SIZE values: y = y + x, y = y + the PARTS stretches of x, or a copy of x in f16 (part `halves`).

override SIZE: u32;

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(64)
fn accumulate(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.y * groups.x * 64 + id.x;
  if (i >= SIZE) { return; }
  y[i] += x[i];
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

// Two f16 a word: no kernel needs f16 of the GPU to write it.
@group(0) @binding(2) var<storage, read_write> halves: array<u32>;

@compute @workgroup_size(64)
fn to_halves(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.y * groups.x * 64 + id.x;
  if (2 * i >= SIZE) { return; }
  halves[i] = packed(vec2f(x[2 * i], x[min(2 * i + 1, SIZE - 1)]));
}
