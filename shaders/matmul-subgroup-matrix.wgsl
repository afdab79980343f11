// Matrix products by subgroup matrices, which the GPU multiplies as a whole: f16 in, sums in f32. What is read, f32 or
// f16, goes through workgroup memory as f16, DEPTH of K at a time; the results go through it as f32, to be finished
// in quads as those of the other variants. A workgroup of DOWN x ACROSS subgroups makes DOWN * ROWS * SIZE_M rows of
// ACROSS * COLUMNS * SIZE_N columns. Layouts, shapes and parts: as in matmul-registers.wgsl, `packed` besides.
enable f16;
enable subgroups;
enable chromium_experimental_subgroup_matrix;

override TRANSPOSE_A: bool = false;
override TRANSPOSE_B: bool = false;
// Parts of K that go to workgroups of their own; part p's result stands p M rows further down in C.
override SPLITS: u32 = 1;

// Left matrices are SIZE_M x SIZE_K, right ones SIZE_K x SIZE_N: a shape that the adapter reports.
const SIZE_M = 16u;
const SIZE_N = 16u;
const SIZE_K = 16u;
// Invocations of the largest subgroup. Where subgroups come out smaller there are more of them, and the last ones
// only copy.
const LANES = 32u;
const DOWN = 2u;
const ACROSS = 2u;
// Matrices of the result that a subgroup makes; STRIP of them side by side are 32 columns, of which both quads of a
// pair (`finish`) are.
const ROWS = 2u;
const COLUMNS = 2u;
const STRIP = 2u;
const DEPTH = 32u;

const TILE_M = DOWN * ROWS * SIZE_M;
const TILE_N = ACROSS * COLUMNS * SIZE_N;
const INVOCATIONS = LANES * DOWN * ACROSS;
// Rows are longer than what they hold, so that neighbours do not start in the same bank: 16 bytes, which loads want.
const PAD = 8u;
const RESULT_PITCH = 32u + PAD / 2;

alias StoredA = vec4f;
alias StoredB = vec4f;
@group(0) @binding(0) var<storage, read> a: array<StoredA>;
@group(0) @binding(1) var<storage, read> b: array<StoredB>;

alias Left = subgroup_matrix_left<f16, SIZE_K, SIZE_M>;
alias Right = subgroup_matrix_right<f16, SIZE_N, SIZE_K>;
alias Result = subgroup_matrix_result<f32, SIZE_N, SIZE_M>;

// As the matrices lie in memory: [TILE_M][DEPTH] or, of a transpose, [DEPTH][TILE_M]; so is b's.
var<workgroup> tile_a: array<f16, max(TILE_M * (DEPTH + PAD), DEPTH * (TILE_M + PAD))>;
var<workgroup> tile_b: array<f16, max(TILE_N * (DEPTH + PAD), DEPTH * (TILE_N + PAD))>;
// A strip of each subgroup's results.
var<workgroup> results: array<f32, DOWN * ACROSS * SIZE_M * RESULT_PITCH>;

fn in_halves(values: vec4f) -> vec4h {
  return bitcast<vec4h>(vec2u(packed(values.xy), packed(values.zw)));
}

fn quad_of_results(at: u32) -> vec4f {
  return vec4f(results[at], results[at + 1], results[at + 2], results[at + 3]);
}

// What subgroups do apart from each other, they do with all their lanes.
@diagnostic(off, chromium.subgroup_matrix_uniformity)
@compute @workgroup_size(INVOCATIONS)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(local_invocation_index) index: u32,
  @builtin(subgroup_id) subgroup: u32,
) {
  let M = shape.M;
  let N = shape.N;
  let K = shape.K;
  let steps = (K + 3) / 4;
  let a_row = select(steps, (M + 3) / 4, TRANSPOSE_A);
  let b_row = select((N + 3) / 4, steps, TRANSPOSE_B);
  let a_pitch = select(DEPTH, TILE_M, TRANSPOSE_A) + PAD;
  let b_pitch = select(TILE_N, DEPTH, TRANSPOSE_B) + PAD;
  let first_m = group.y * TILE_M;
  let first_quad = group.x * TILE_N / 4;
  let part = (K + DEPTH * SPLITS - 1) / (DEPTH * SPLITS) * DEPTH;
  let end = min(K, (group.z + 1) * part);
  let multiplies = subgroup < DOWN * ACROSS;
  let own_m = subgroup / ACROSS * ROWS * SIZE_M;
  let own_n = subgroup % ACROSS * COLUMNS * SIZE_N;
  var sum: array<Result, ROWS * COLUMNS>;
  for (var k = group.z * part; k < end; k += DEPTH) {
    // Rows and quads past K count as zero, those past M and N are not stored.
    for (var i = index; i < TILE_M * DEPTH / 4; i += INVOCATIONS) {
      var at: u32;
      var values: vec4f;
      if (TRANSPOSE_A) {
        let quad = i % (TILE_M / 4);
        let row = k + i / (TILE_M / 4);
        at = i / (TILE_M / 4) * a_pitch + 4 * quad;
        values = vec4f(a[min(row, K - 1) * a_row + min(first_m / 4 + quad, a_row - 1)]) * select(0.0, 1.0, row < K);
      } else {
        let quad = k / 4 + i % (DEPTH / 4);
        let row = i / (DEPTH / 4);
        at = row * a_pitch + 4 * (i % (DEPTH / 4));
        values = vec4f(a[min(first_m + row, M - 1) * a_row + min(quad, steps - 1)]) * select(0.0, 1.0, quad < steps);
      }
      let halves = in_halves(values);
      for (var l = 0u; l < 4; l++) { // unroll
        tile_a[at + l] = halves[l];
      }
    }
    for (var i = index; i < TILE_N * DEPTH / 4; i += INVOCATIONS) {
      var at: u32;
      var values: vec4f;
      if (TRANSPOSE_B) {
        let quad = k / 4 + i % (DEPTH / 4);
        let row = i / (DEPTH / 4);
        let n = min(4 * column(first_quad + row / 4) + row % 4, N - 1);
        at = row * b_pitch + 4 * (i % (DEPTH / 4));
        values = vec4f(b[n * b_row + min(quad, steps - 1)]) * select(0.0, 1.0, quad < steps);
      } else {
        let quad = i % (TILE_N / 4);
        let row = k + i / (TILE_N / 4);
        at = i / (TILE_N / 4) * b_pitch + 4 * quad;
        values = vec4f(b[min(row, K - 1) * b_row + column(first_quad + quad)]) * select(0.0, 1.0, row < K);
      }
      let halves = in_halves(values);
      for (var l = 0u; l < 4; l++) { // unroll
        tile_b[at + l] = halves[l];
      }
    }
    workgroupBarrier();
    if (multiplies) {
      for (var l = 0u; l < DEPTH; l += SIZE_K) {
        var left: array<Left, ROWS>;
        for (var i = 0u; i < ROWS; i++) { // unroll
          let m = own_m + i * SIZE_M;
          if (TRANSPOSE_A) {
            left[i] = subgroupMatrixLoad<Left, col_major>(&tile_a, l * a_pitch + m, a_pitch);
          } else {
            left[i] = subgroupMatrixLoad<Left, row_major>(&tile_a, m * a_pitch + l, a_pitch);
          }
        }
        for (var j = 0u; j < COLUMNS; j++) { // unroll
          let n = own_n + j * SIZE_N;
          var right: Right;
          if (TRANSPOSE_B) {
            right = subgroupMatrixLoad<Right, col_major>(&tile_b, n * b_pitch + l, b_pitch);
          } else {
            right = subgroupMatrixLoad<Right, row_major>(&tile_b, l * b_pitch + n, b_pitch);
          }
          for (var i = 0u; i < ROWS; i++) { // unroll
            sum[i * COLUMNS + j] = subgroupMatrixMultiplyAccumulate(left[i], right, sum[i * COLUMNS + j]);
          }
        }
      }
    }
    workgroupBarrier();
  }
  for (var i = 0u; i < ROWS; i++) { // unroll
    for (var j = 0u; j < COLUMNS; j += STRIP) { // unroll
      if (multiplies) {
        for (var l = 0u; l < STRIP; l++) { // unroll
          let at = subgroup * SIZE_M * RESULT_PITCH + l * SIZE_N;
          subgroupMatrixStore<row_major>(&results, at, sum[i * COLUMNS + j + l], RESULT_PITCH);
        }
      }
      workgroupBarrier();
      for (var pair = index; pair < DOWN * ACROSS * SIZE_M * 4; pair += INVOCATIONS) {
        let row = pair / 4;
        let maker = row / SIZE_M;
        let m = first_m + (maker / ACROSS * ROWS + i) * SIZE_M + row % SIZE_M;
        if (m < M) {
          let quad = first_quad + (maker % ACROSS * COLUMNS + j) * SIZE_N / 4 + pair % 4;
          let at = row * RESULT_PITCH + pair % 4 * 4;
          finish(group.z * M + m, quad, quad_of_results(at), quad_of_results(at + 16));
        }
      }
      workgroupBarrier();
    }
  }
}
