// What is kept in f16: a copy of SIZE values, or x[R, PITCH] with its first HEADS heads rotated as in rope.wgsl.
// Two f16 a word (part `halves`): no kernel needs f16 of the GPU to write it.

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> turns: array<vec2f>;
@group(0) @binding(2) var<storage, read_write> halves: array<u32>;

override SIZE: u32;

@compute @workgroup_size(64)
fn copy(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.y * groups.x * 64 + id.x;
  if (2 * i >= SIZE) { return; }
  halves[i] = packed(vec2f(x[2 * i], x[min(2 * i + 1, SIZE - 1)]));
}

override R: u32;
override T: u32;
override HEADS: u32;
override D: u32;
override PITCH: u32;

// Two neighbours of a row: D / 2 is even, so both are first of their pairs, or both second.
@compute @workgroup_size(64)
fn rotate(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let word = id.y * groups.x * 64 + id.x;
  if (word >= R * PITCH / 2) { return; }
  let at = 2 * word;
  let column = at % PITCH;
  var values = vec2f(x[at], x[at + 1]);
  if (column < HEADS * D) {
    let half = D / 2;
    let position = at / PITCH % T;
    let i = position * half + column % half;
    let c = vec2f(turns[i].x, turns[i + 1].x);
    let s = vec2f(turns[i].y, turns[i + 1].y);
    if (column % D < half) {
      values = values * c - vec2f(x[at + half], x[at + half + 1]) * s;
    } else {
      values = values * c + vec2f(x[at - half], x[at - half + 1]) * s;
    }
  }
  halves[word] = packed(values);
}
