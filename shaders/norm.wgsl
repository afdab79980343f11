// RMSNorm (Zhang and Sennrich, 2019): y[r,c] = x[r,c] s_r gain[c], s_r = 1 / sqrt(mean_c x[r,c]^2 + EPS).
// x, y, dy, dx: [R,C]; gain: [C]; scales s: [R], written by `backward` and read by `gain_backward`.
// One invocation a row, or a column for the gain's gradient.

override R: u32;
override C: u32;
override EPS: f32 = 1e-5;
// backward adds to dx instead of setting it.
override ACCUMULATE: bool = false;

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> gain: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

fn scale_of(row: u32) -> f32 {
  var squares = 0.0;
  for (var c = 0u; c < C; c++) {
    let value = x[row + c];
    squares += value * value;
  }
  return inverseSqrt(squares / f32(C) + EPS);
}

@compute @workgroup_size(64)
fn forward(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= R) { return; }
  let row = id.x * C;
  let s = scale_of(row);
  for (var c = 0u; c < C; c++) {
    y[row + c] = x[row + c] * s * gain[c];
  }
}

@group(0) @binding(3) var<storage, read> dy: array<f32>;
@group(0) @binding(4) var<storage, read_write> dx: array<f32>;
@group(0) @binding(5) var<storage, read_write> scales: array<f32>;

// dx[r,c] = s gain[c] dy[r,c] - x[r,c] s^3 / C sum_j gain[j] dy[r,j] x[r,j]
@compute @workgroup_size(64)
fn backward(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= R) { return; }
  let row = id.x * C;
  let s = scale_of(row);
  scales[id.x] = s;
  var sum = 0.0;
  for (var c = 0u; c < C; c++) {
    sum += gain[c] * dy[row + c] * x[row + c];
  }
  let factor = s * s * s * sum / f32(C);
  for (var c = 0u; c < C; c++) {
    let value = s * gain[c] * dy[row + c] - x[row + c] * factor;
    if (ACCUMULATE) {
      dx[row + c] += value;
    } else {
      dx[row + c] = value;
    }
  }
}

@group(0) @binding(6) var<storage, read_write> dgain: array<f32>;

// dgain[c] += sum_r dy[r,c] x[r,c] s_r
@compute @workgroup_size(64)
fn gain_backward(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= C) { return; }
  var sum = 0.0;
  for (var r = 0u; r < R; r++) {
    sum += dy[r * C + id.x] * x[r * C + id.x] * scales[r];
  }
  dgain[id.x] += sum;
}
