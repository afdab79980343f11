// Matrix products through workgroup memory: op(A)[M,K] op(B)[K,N]. A workgroup of SIDE x SIDE invocations makes
// SIDE * ROWS rows of SIDE * QUADS quads of columns, DEPTH of K at a time: what it reads, all its invocations use.
// Layouts, shapes and parts: as in matmul-registers.wgsl.

override TRANSPOSE_A: bool = false;
override TRANSPOSE_B: bool = false;
// Parts of K that go to workgroups of their own; part p's result stands p M rows further down in C.
override SPLITS: u32 = 1;

const SIDE = 8u;
const ROWS = 8u;
const QUADS = 2u;
const DEPTH = 16u;
const TILE_M = SIDE * ROWS;
const TILE_N = SIDE * QUADS * 4u;

alias StoredA = vec4f;
alias StoredB = vec4f;
@group(0) @binding(0) var<storage, read> a: array<StoredA>;
@group(0) @binding(1) var<storage, read> b: array<StoredB>;

// [DEPTH][TILE_M / 4] and [DEPTH][TILE_N / 4]: row k holds quads of op(A)'s rows, and of op(B)'s columns.
var<workgroup> tile_a: array<vec4f, DEPTH * TILE_M / 4>;
var<workgroup> tile_b: array<vec4f, DEPTH * TILE_N / 4>;

@compute @workgroup_size(SIDE * SIDE)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) index: u32) {
  let M = shape.M;
  let N = shape.N;
  let K = shape.K;
  let tx = index % SIDE;
  let ty = index / SIDE;
  let steps = (K + 3) / 4;
  let a_row = select(steps, (M + 3) / 4, TRANSPOSE_A);
  let b_row = select((N + 3) / 4, steps, TRANSPOSE_B);
  let first_m = group.y * TILE_M;
  let first_quad = group.x * TILE_N / 4;
  let own_quad = (tx / 4) * 4 * QUADS + tx % 4;
  let part = (K + DEPTH * SPLITS - 1) / (DEPTH * SPLITS) * DEPTH;
  let end = min(K, (group.z + 1) * part);
  var sum: array<vec4f, ROWS * QUADS>;
  for (var k = group.z * part; k < end; k += DEPTH) {
    // Blocks of 4 x 4, turned in registers where the matrix lies the other way. Rows past K count as zero.
    for (var block = index; block < DEPTH / 4 * TILE_M / 4; block += SIDE * SIDE) {
      let depth = block % (DEPTH / 4);
      let quad = block / (DEPTH / 4);
      let m = first_m + 4 * quad;
      let at = depth * TILE_M + quad;
      var rows: array<vec4f, 4>;
      for (var l = 0u; l < 4; l++) { // unroll
        if (TRANSPOSE_A) {
          let row = k + 4 * depth + l;
          rows[l] = vec4f(a[min(row, K - 1) * a_row + min(m / 4, a_row - 1)]) * select(0.0, 1.0, row < K);
        } else {
          rows[l] = vec4f(a[min(m + l, M - 1) * a_row + min(k / 4 + depth, steps - 1)]) * select(0.0, 1.0, k / 4 + depth < steps);
        }
      }
      for (var l = 0u; l < 4; l++) { // unroll
        if (TRANSPOSE_A) {
          tile_a[at + l * TILE_M / 4] = rows[l];
        } else {
          tile_a[at + l * TILE_M / 4] = vec4f(rows[0][l], rows[1][l], rows[2][l], rows[3][l]);
        }
      }
    }
    for (var block = index; block < DEPTH / 4 * TILE_N / 4; block += SIDE * SIDE) {
      let depth = select(block / (TILE_N / 4), block % (DEPTH / 4), TRANSPOSE_B);
      let quad = select(block % (TILE_N / 4), block / (DEPTH / 4), TRANSPOSE_B);
      let n = column(first_quad + quad);
      let at = depth * TILE_N + quad;
      var rows: array<vec4f, 4>;
      for (var l = 0u; l < 4; l++) { // unroll
        if (TRANSPOSE_B) {
          rows[l] = vec4f(b[min(4 * n + l, N - 1) * b_row + min(k / 4 + depth, steps - 1)]);
        } else {
          rows[l] = vec4f(b[min(k + 4 * depth + l, K - 1) * b_row + n]);
        }
      }
      for (var l = 0u; l < 4; l++) { // unroll
        if (TRANSPOSE_B) {
          tile_b[at + l * TILE_N / 4] = vec4f(rows[0][l], rows[1][l], rows[2][l], rows[3][l]);
        } else {
          tile_b[at + l * TILE_N / 4] = rows[l];
        }
      }
    }
    workgroupBarrier();
    for (var l = 0u; l < DEPTH; l++) {
      var y: array<vec4f, QUADS>;
      for (var j = 0u; j < QUADS; j++) { // unroll
        y[j] = tile_b[l * TILE_N / 4 + own_quad + 4 * j];
      }
      for (var i = 0u; i < ROWS; i += 4) { // unroll
        let x = tile_a[l * TILE_M / 4 + (ty * ROWS + i) / 4];
        for (var r = 0u; r < 4; r++) { // unroll
          for (var j = 0u; j < QUADS; j++) { // unroll
            sum[(i + r) * QUADS + j] += x[r] * y[j];
          }
        }
      }
    }
    workgroupBarrier();
  }
  let m = first_m + ty * ROWS;
  for (var i = 0u; i < ROWS; i++) { // unroll
    if (m + i < M) {
      for (var j = 0u; j < QUADS; j += 2) { // unroll
        finish(group.z * M + m + i, first_quad + own_quad + 4 * j, sum[i * QUADS + j], sum[i * QUADS + j + 1]);
      }
    }
  }
}
