// Embedding: x[r] = table[tokens[r]]; x: [R,C], table: [V,C].
// Backward without atomics: the CPU sorts the rows by token (core/data/token-segments.ts); segment s holds the
// rows order[starts[s]] .. order[starts[s+1] - 1], which all have token ids[s], and one invocation sums one
// column of one segment. Segments past the last have equal starts.

override R: u32;
override C: u32;

@group(0) @binding(0) var<storage, read> tokens: array<u32>;
@group(0) @binding(1) var<storage, read> table: array<f32>;
@group(0) @binding(2) var<storage, read_write> x: array<f32>;

@compute @workgroup_size(8, 8)
fn forward(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= C || id.y >= R) { return; }
  x[id.y * C + id.x] = table[tokens[id.y] * C + id.x];
}

// [R order][R + 1 starts][R ids]
@group(0) @binding(3) var<storage, read> segments: array<u32>;
@group(0) @binding(4) var<storage, read> dx: array<f32>;
@group(0) @binding(5) var<storage, read_write> dtable: array<f32>;

@compute @workgroup_size(8, 8)
fn backward(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= C || id.y >= R) { return; }
  let start = segments[R + id.y];
  let end = segments[R + id.y + 1];
  if (start == end) { return; }
  var sum = 0.0;
  for (var i = start; i < end; i++) {
    sum += dx[segments[i] * C + id.x];
  }
  dtable[segments[2 * R + 1 + id.y] * C + id.x] += sum;
}
