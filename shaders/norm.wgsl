// RMSNorm (Zhang and Sennrich, 2019): y[r,c] = x[r,c] s_r gain[c], s_r = 1 / sqrt(mean_c x[r,c]^2 + EPS).
// x, y, dy, dx: [R,C]; gain: [C]; scales s: [R], written by `backward` and read by `gain_backward`.
// LANES invocations a row (shaders/parts/row*.wgsl).

override R: u32;
override C: u32;
// Rows lie one behind the other.
override PITCH: u32;
override EPS: f32 = 1e-5;
// backward adds to dx instead of setting it.
override ACCUMULATE: bool = false;

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> gain: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

fn scale_of(row: Row, index: u32) -> f32 {
  var squares = 0.0;
  for (var c = row.lane; c < C; c += LANES) {
    let value = x[row.start + c];
    squares += value * value;
  }
  return inverseSqrt(sum_of_row(squares, index) / f32(C) + EPS);
}

@compute @workgroup_size(64)
fn forward(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) index: u32) {
  let row = row_of(group, groups, index);
  let s = scale_of(row, index);
  if (row.index >= R) { return; }
  for (var c = row.lane; c < C; c += LANES) {
    y[row.start + c] = x[row.start + c] * s * gain[c];
  }
}

@group(0) @binding(3) var<storage, read> dy: array<f32>;
@group(0) @binding(4) var<storage, read_write> dx: array<f32>;
@group(0) @binding(5) var<storage, read_write> scales: array<f32>;

// dx[r,c] = s gain[c] dy[r,c] - x[r,c] s^3 / C sum_j gain[j] dy[r,j] x[r,j]
@compute @workgroup_size(64)
fn backward(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) index: u32) {
  let row = row_of(group, groups, index);
  let s = scale_of(row, index);
  var products = 0.0;
  for (var c = row.lane; c < C; c += LANES) {
    products += gain[c] * dy[row.start + c] * x[row.start + c];
  }
  let factor = s * s * s * sum_of_row(products, index) / f32(C);
  if (row.index >= R) { return; }
  if (row.lane == 0) { scales[row.index] = s; }
  for (var c = row.lane; c < C; c += LANES) {
    let i = row.start + c;
    let value = s * gain[c] * dy[i] - x[i] * factor;
    if (ACCUMULATE) {
      dx[i] += value;
    } else {
      dx[i] = value;
    }
  }
}

@group(0) @binding(6) var<storage, read_write> dgain: array<f32>;

// dgain[c] += sum_r dy[r,c] x[r,c] s_r; one invocation a column.
@compute @workgroup_size(64)
fn gain_backward(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= C) { return; }
  var sum = 0.0;
  for (var r = 0u; r < R; r++) {
    sum += dy[r * C + id.x] * x[r * C + id.x] * scales[r];
  }
  dgain[id.x] += sum;
}
