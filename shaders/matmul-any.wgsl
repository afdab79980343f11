// Matrix products of any shape: C[M,N] = op(A) op(B), row-major f32; op transposes where the flag says so.
// One value of C an invocation. Slow, and right for ragged shapes; matmul.wgsl takes the others.

override M: u32;
override N: u32;
override K: u32;
override TRANSPOSE_A: bool = false; // A is [K,M]
override TRANSPOSE_B: bool = false; // B is [N,K]
override ACCUMULATE: bool = false;
override RESIDUAL: bool = false;

@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read_write> c: array<f32>;
@group(0) @binding(3) var<storage, read> residual: array<f32>;

@compute @workgroup_size(8, 8)
fn any_shape(@builtin(global_invocation_id) id: vec3u) {
  let n = id.x;
  let m = id.y;
  if (m >= M || n >= N) { return; }
  let a_start = select(m * K, m, TRANSPOSE_A);
  let a_step = select(1u, M, TRANSPOSE_A);
  let b_start = select(n, n * K, TRANSPOSE_B);
  let b_step = select(N, 1u, TRANSPOSE_B);
  var sum = 0.0;
  for (var k = 0u; k < K; k++) {
    sum += a[a_start + k * a_step] * b[b_start + k * b_step];
  }
  let i = m * N + n;
  if (ACCUMULATE) {
    c[i] += sum;
  } else if (RESIDUAL) {
    c[i] = residual[i] + sum;
  } else {
    c[i] = sum;
  }
}
