// Matrix products: C[M,N] = op(A) op(B), row-major f32. Each invocation makes an 8 x 8 tile of C in registers,
// without workgroup memory.
// The three entry points are the three products that a linear layer y[R,N] = x[R,K] W[N,K]^T trains with; they
// read four neighbouring values at a time, so the named dimensions must be multiples of 4:
//   nt  A[M,K] B[N,K]^T   K        forward:          y = x W^T
//   nn  A[M,K] B[K,N]     K, N     input gradient:   dx = dy W
//   tn  A[K,M]^T B[K,N]   M, N     weight gradient:  dW = dy^T x
// Not here: other shapes (matmul-any.wgsl). Loops marked "unroll" are unrolled by web/engine/preprocess.ts.

override M: u32;
override N: u32;
override K: u32;
// C = product, C = C + product, or C = residual + product.
override ACCUMULATE: bool = false;
override RESIDUAL: bool = false;

const TILE = 8u;
const QUADS = 2u;

@group(0) @binding(0) var<storage, read> a: array<vec4f>;
@group(0) @binding(1) var<storage, read> b: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> c: array<f32>;
@group(0) @binding(3) var<storage, read> residual: array<f32>;

fn store(m: u32, n: u32, value: f32) {
  if (m >= M || n >= N) { return; }
  let i = m * N + n;
  if (ACCUMULATE) {
    c[i] += value;
  } else if (RESIDUAL) {
    c[i] = residual[i] + value;
  } else {
    c[i] = value;
  }
}

fn store_quad(m: u32, n: u32, values: vec4f) {
  store(m, n, values.x);
  store(m, n + 1, values.y);
  store(m, n + 2, values.z);
  store(m, n + 3, values.w);
}

@compute @workgroup_size(8, 8)
fn nt(@builtin(global_invocation_id) id: vec3u) {
  let n = id.x * TILE;
  let m = id.y * TILE;
  if (m >= M || n >= N) { return; }
  let steps = K / 4;
  var x: array<vec4f, TILE>;
  var y: array<vec4f, TILE>;
  var sum: array<vec4f, TILE * QUADS>;
  for (var k = 0u; k < steps; k++) {
    // Rows past the edge repeat the last one; their results are not stored.
    for (var i = 0u; i < TILE; i++) { // unroll
      x[i] = a[min(m + i, M - 1) * steps + k];
      y[i] = b[min(n + i, N - 1) * steps + k];
    }
    for (var i = 0u; i < TILE; i++) { // unroll
      for (var j = 0u; j < QUADS; j++) { // unroll
        sum[i * QUADS + j] += vec4f(dot(x[i], y[4 * j]), dot(x[i], y[4 * j + 1]), dot(x[i], y[4 * j + 2]), dot(x[i], y[4 * j + 3]));
      }
    }
  }
  for (var i = 0u; i < TILE; i++) { // unroll
    for (var j = 0u; j < QUADS; j++) { // unroll
      store_quad(m + i, n + 4 * j, sum[i * QUADS + j]);
    }
  }
}

@compute @workgroup_size(8, 8)
fn nn(@builtin(global_invocation_id) id: vec3u) {
  let n = id.x * TILE;
  let m = id.y * TILE;
  if (m >= M || n >= N) { return; }
  let steps = K / 4;
  let row = N / 4;
  let column = id.x * QUADS;
  var y: array<vec4f, 4 * QUADS>;
  var sum: array<vec4f, TILE * QUADS>;
  for (var k = 0u; k < steps; k++) {
    for (var l = 0u; l < 4; l++) { // unroll
      for (var j = 0u; j < QUADS; j++) { // unroll
        y[l * QUADS + j] = b[(4 * k + l) * row + min(column + j, row - 1)];
      }
    }
    for (var i = 0u; i < TILE; i++) { // unroll
      let x = a[min(m + i, M - 1) * steps + k];
      for (var j = 0u; j < QUADS; j++) { // unroll
        sum[i * QUADS + j] += x.x * y[j] + x.y * y[QUADS + j] + x.z * y[2 * QUADS + j] + x.w * y[3 * QUADS + j];
      }
    }
  }
  for (var i = 0u; i < TILE; i++) { // unroll
    for (var j = 0u; j < QUADS; j++) { // unroll
      store_quad(m + i, n + 4 * j, sum[i * QUADS + j]);
    }
  }
}

@compute @workgroup_size(8, 8)
fn tn(@builtin(global_invocation_id) id: vec3u) {
  let n = id.x * TILE;
  let m = id.y * TILE;
  if (m >= M || n >= N) { return; }
  let a_row = M / 4;
  let b_row = N / 4;
  var x: array<vec4f, QUADS>;
  var y: array<vec4f, QUADS>;
  var sum: array<vec4f, TILE * QUADS>;
  for (var k = 0u; k < K; k++) {
    for (var j = 0u; j < QUADS; j++) { // unroll
      x[j] = a[k * a_row + min(id.y * QUADS + j, a_row - 1)];
      y[j] = b[k * b_row + min(id.x * QUADS + j, b_row - 1)];
    }
    for (var i = 0u; i < TILE; i++) { // unroll
      for (var j = 0u; j < QUADS; j++) { // unroll
        sum[i * QUADS + j] += x[i / 4][i % 4] * y[j];
      }
    }
  }
  for (var i = 0u; i < TILE; i++) { // unroll
    for (var j = 0u; j < QUADS; j++) { // unroll
      store_quad(m + i, n + 4 * j, sum[i * QUADS + j]);
    }
  }
}
