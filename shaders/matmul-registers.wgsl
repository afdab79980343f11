// Matrix products in registers, without workgroup memory: op(A)[M,K] op(B)[K,N], row-major f32.
// The three that a linear layer y[R,N] = x[R,K] W[N,K]^T trains with; rows are read in quads of four values:
//   nt  A[M,K] B[N,K]^T   TRANSPOSE_B   K a multiple of 4                  forward:          y = x W^T
//   nn  A[M,K] B[K,N]                   N a multiple of 4, A's rows padded input gradient:   dx = dy W
//   tn  A[K,M]^T B[K,N]   TRANSPOSE_A   N a multiple of 4, A's rows padded weight gradient:  dW = dy^T x
// "padded": a row of A takes a multiple of 4 values, those past its end zero. C's rows are padded the same way.
// An invocation makes ROWS rows of QUADS quads of columns, 4 apart. Parts: `shape`; `column` and `finish`, which quad
// of columns a quad stands for and what becomes of two finished ones; `handed_round`, where the four neighbours that
// make the same rows share the loads of A.
// Loops marked "unroll" are written out by web/engine/preprocess.ts: registers cannot be indexed.

override TRANSPOSE_A: bool = false;
override TRANSPOSE_B: bool = false;

const ROWS = 8u;
const QUADS = 2u;
const ROW_GROUPS = 16u;

alias StoredA = vec4f;
alias StoredB = vec4f;
@group(0) @binding(0) var<storage, read> a: array<StoredA>;
@group(0) @binding(1) var<storage, read> b: array<StoredB>;

@compute @workgroup_size(4 * ROW_GROUPS)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) index: u32) {
  let M = shape.M;
  let N = shape.N;
  let K = shape.K;
  let lane = index & 3;
  let m = (group.y * ROW_GROUPS + index / 4) * ROWS;
  let quad = group.x * 4 * QUADS + lane;
  // Quads in a row of A, of its transpose, and of B.
  let steps = (K + 3) / 4;
  let a_pitch = (M + 3) / 4;
  let b_pitch = (N + 3) / 4;
  var at: array<u32, QUADS>;
  for (var j = 0u; j < QUADS; j++) { // unroll
    at[j] = column(quad + 4 * j);
  }
  var sum: array<vec4f, ROWS * QUADS>;
  for (var k = 0u; k < steps; k++) {
    // y[l * QUADS + j]: row 4 k + l of op(B), quad j of this invocation's columns.
    var y: array<vec4f, 4 * QUADS>;
    for (var j = 0u; j < QUADS; j++) { // unroll
      if (TRANSPOSE_B) {
        let y0 = vec4f(b[min(4 * at[j], N - 1) * steps + k]);
        let y1 = vec4f(b[min(4 * at[j] + 1, N - 1) * steps + k]);
        let y2 = vec4f(b[min(4 * at[j] + 2, N - 1) * steps + k]);
        let y3 = vec4f(b[min(4 * at[j] + 3, N - 1) * steps + k]);
        for (var l = 0u; l < 4; l++) { // unroll
          y[l * QUADS + j] = vec4f(y0[l], y1[l], y2[l], y3[l]);
        }
      } else {
        for (var l = 0u; l < 4; l++) { // unroll
          y[l * QUADS + j] = vec4f(b[min(4 * k + l, K - 1) * b_pitch + at[j]]);
        }
      }
    }
    for (var i = 0u; i < ROWS; i += 4) { // unroll
      // x[r]: four k of row m + i + r; rows past M repeat the last one, rows of a transpose past K count as zero.
      var x: array<vec4f, 4>;
      if (TRANSPOSE_A) {
        let across = min((m + i) / 4, a_pitch - 1);
        var z: array<vec4f, 4>;
        if (SHARES) {
          let own = 4 * k + lane;
          z = handed_round(vec4f(a[min(own, K - 1) * a_pitch + across]) * select(0.0, 1.0, own < K));
        } else {
          for (var l = 0u; l < 4; l++) { // unroll
            let row = 4 * k + l;
            z[l] = vec4f(a[min(row, K - 1) * a_pitch + across]) * select(0.0, 1.0, row < K);
          }
        }
        for (var r = 0u; r < 4; r++) { // unroll
          x[r] = vec4f(z[0][r], z[1][r], z[2][r], z[3][r]);
        }
      } else if (SHARES) {
        x = handed_round(vec4f(a[min(m + i + lane, M - 1) * steps + k]));
      } else {
        for (var r = 0u; r < 4; r++) { // unroll
          x[r] = vec4f(a[min(m + i + r, M - 1) * steps + k]);
        }
      }
      for (var r = 0u; r < 4; r++) { // unroll
        for (var j = 0u; j < QUADS; j++) { // unroll
          sum[(i + r) * QUADS + j] += x[r].x * y[j] + x[r].y * y[QUADS + j] + x[r].z * y[2 * QUADS + j] + x[r].w * y[3 * QUADS + j];
        }
      }
    }
  }
  for (var i = 0u; i < ROWS; i++) { // unroll
    if (m + i < M) {
      for (var j = 0u; j < QUADS; j += 2) { // unroll
        finish(m + i, quad + 4 * j, sum[i * QUADS + j], sum[i * QUADS + j + 1]);
      }
    }
  }
}
