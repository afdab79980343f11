// Causal grouped-query attention in the manner of FlashAttention-2 (Dao, 2023): the T x T scores are never
// stored; forward keeps the logsumexp of each row of scores, backward makes the scores again from it.
// qkv, dqkv: [R, (H + 2 G) D], the query heads, then the key heads, then the value heads; out, dout: [R, H*D];
// logsumexp, delta: [R, H]; R = B*T rows, H query heads, G key-value heads, each read by H/G query heads without a
// copy. The head width D is QUADS * 4.
// No atomics: each result has one writer. A workgroup takes one head of a block of rows; an invocation keeps ROWS
// of them, 4 apart, in registers, and meets the other rows four at a time: read by itself, shared with its
// neighbours (part `quad`), or, with STAGE > 0, read STAGE at a time into workgroup memory. Blocks that the causal
// mask hides are skipped. qkv may be in f16, and so is what of it is staged; all sums are f32. Loops marked "unroll"
// are written out by web/engine/preprocess.ts.

const QUADS = 4u;
const ROWS = 2u;
const ROW_GROUPS = 1u;
const STAGE = 0u;
const BLOCK = 4u * ROWS * ROW_GROUPS;
override T: u32;
override H: u32;
override G: u32;

const NEVER = -3.0e38;

alias Stored = vec4f;
@group(0) @binding(0) var<storage, read> qkv: array<Stored>;
@group(0) @binding(1) var<storage, read_write> out: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> logsumexp: array<f32>;

// Rows of a head's width: keys or queries, and what goes with them.
var<workgroup> staged: array<Stored, max(STAGE * QUADS, 1)>;
var<workgroup> staged_values: array<Stored, max(STAGE * QUADS, 1)>;
var<workgroup> staged_gradients: array<vec4f, max(STAGE * QUADS, 1)>;

fn scale() -> f32 {
  return inverseSqrt(f32(QUADS * 4));
}

fn pitch() -> u32 {
  return (H + 2 * G) * QUADS;
}

// Where a workgroup stands: its head, the first row of its sequence, and its block of rows in it.
struct Place {
  head: u32,
  sequence: u32,
  block: u32,
}

fn place(group: u32, heads: u32) -> Place {
  let blocks = (T + BLOCK - 1) / BLOCK;
  return Place(group / blocks % heads, group / blocks / heads * T, group % blocks);
}

// The first of an invocation's own rows in its sequence.
fn own_row(block: u32, index: u32) -> u32 {
  return block * BLOCK + index / 4 * 4 * ROWS + (index & 3);
}

// Rows t .. t + 3 against `own`, each true where the first is hidden from the second.
fn after(t: u32, own: u32) -> vec4<bool> {
  return vec4u(t, t + 1, t + 2, t + 3) > vec4u(own);
}

fn stage_keys(first: u32, at: Place, index: u32) {
  let key = (H + at.head / (H / G)) * QUADS;
  for (var i = index; i < STAGE * QUADS; i += 4 * ROW_GROUPS) {
    let row = (at.sequence + min(first + i / QUADS, T - 1)) * pitch() + key + i % QUADS;
    staged[i] = qkv[row];
    staged_values[i] = qkv[row + G * QUADS];
  }
}

// Quad `at` of rows t .. t + 3 of a sequence in qkv.
fn four_of_qkv(sequence: u32, t: u32, at: u32, lane: u32) -> array<vec4f, 4> {
  if (SHARES) {
    return handed_round(vec4f(qkv[(sequence + min(t + lane, T - 1)) * pitch() + at]));
  }
  var rows: array<vec4f, 4>;
  for (var l = 0u; l < 4; l++) { // unroll
    rows[l] = vec4f(qkv[(sequence + min(t + l, T - 1)) * pitch() + at]);
  }
  return rows;
}

// Quad q of a head's rows t .. t + 3, the head's quads beginning at `head` of a row: of keys or queries.
fn four_of(sequence: u32, t: u32, head: u32, q: u32, lane: u32) -> array<vec4f, 4> {
  if (STAGE == 0) {
    return four_of_qkv(sequence, t, head + q, lane);
  }
  var rows: array<vec4f, 4>;
  for (var l = 0u; l < 4; l++) { // unroll
    rows[l] = vec4f(staged[(t % max(STAGE, 1) + l) * QUADS + q]);
  }
  return rows;
}

// The same of the values that belong to the keys that begin at `key`.
fn four_of_values(sequence: u32, t: u32, key: u32, q: u32, lane: u32) -> array<vec4f, 4> {
  if (STAGE == 0) {
    return four_of_qkv(sequence, t, key + G * QUADS + q, lane);
  }
  var rows: array<vec4f, 4>;
  for (var l = 0u; l < 4; l++) { // unroll
    rows[l] = vec4f(staged_values[(t % max(STAGE, 1) + l) * QUADS + q]);
  }
  return rows;
}

@compute @workgroup_size(4 * ROW_GROUPS)
fn forward(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) index: u32) {
  let at = place(group.x, H);
  let own = own_row(at.block, index);
  let lane = index & 3;
  let key = (H + at.head / (H / G)) * QUADS;
  var query: array<vec4f, ROWS * QUADS>;
  var sum: array<vec4f, ROWS * QUADS>;
  // Online softmax: weights are relative to the largest score so far.
  var largest: array<f32, ROWS>;
  var total: array<f32, ROWS>;
  for (var i = 0u; i < ROWS; i++) { // unroll
    let start = (at.sequence + min(own + 4 * i, T - 1)) * pitch() + at.head * QUADS;
    for (var q = 0u; q < QUADS; q++) { // unroll
      query[i * QUADS + q] = vec4f(qkv[start + q]) * scale();
    }
    largest[i] = NEVER;
  }
  let end = min(T, (at.block + 1) * BLOCK);
  for (var t = 0u; t < end; t += 4) {
    if (STAGE > 0 && t % max(STAGE, 1) == 0) {
      workgroupBarrier();
      stage_keys(t, at, index);
      workgroupBarrier();
    }
    // Zero, said aloud: one compiler keeps an iteration's values otherwise.
    var scores = array<vec4f, ROWS>();
    for (var q = 0u; q < QUADS; q++) { // unroll
      let k = four_of(at.sequence, t, key, q, lane);
      for (var i = 0u; i < ROWS; i++) { // unroll
        let x = query[i * QUADS + q];
        scores[i] += vec4f(dot(x, k[0]), dot(x, k[1]), dot(x, k[2]), dot(x, k[3]));
      }
    }
    var shrink: array<f32, ROWS>;
    for (var i = 0u; i < ROWS; i++) { // unroll
      let seen = select(scores[i], vec4f(NEVER), after(t, own + 4 * i));
      let next = max(largest[i], max(max(seen.x, seen.y), max(seen.z, seen.w)));
      shrink[i] = exp(largest[i] - next);
      scores[i] = exp(seen - next);
      total[i] = total[i] * shrink[i] + dot(scores[i], vec4f(1));
      largest[i] = next;
    }
    for (var q = 0u; q < QUADS; q++) { // unroll
      let v = four_of_values(at.sequence, t, key, q, lane);
      for (var i = 0u; i < ROWS; i++) { // unroll
        let w = scores[i];
        sum[i * QUADS + q] = sum[i * QUADS + q] * shrink[i] + w.x * v[0] + w.y * v[1] + w.z * v[2] + w.w * v[3];
      }
    }
  }
  for (var i = 0u; i < ROWS; i++) { // unroll
    if (own + 4 * i < T) {
      let row = (at.sequence + own + 4 * i) * H + at.head;
      for (var q = 0u; q < QUADS; q++) { // unroll
        out[row * QUADS + q] = sum[i * QUADS + q] / total[i];
      }
      logsumexp[row] = largest[i] + log(total[i]);
    }
  }
}

@group(0) @binding(3) var<storage, read> saved_out: array<vec4f>;
@group(0) @binding(4) var<storage, read> saved_logsumexp: array<f32>;
@group(0) @binding(5) var<storage, read> dout: array<vec4f>;
@group(0) @binding(6) var<storage, read_write> delta: array<f32>;
@group(0) @binding(7) var<storage, read_write> dqkv: array<vec4f>;

// delta[r,h] = sum_i dout[r,h,i] out[r,h,i]; dq = sum_j ds_j k_j / sqrt(D), ds_j = p_j (dout . v_j - delta)
@compute @workgroup_size(4 * ROW_GROUPS)
fn query_backward(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) index: u32) {
  let at = place(group.x, H);
  let own = own_row(at.block, index);
  let lane = index & 3;
  let key = (H + at.head / (H / G)) * QUADS;
  var query: array<vec4f, ROWS * QUADS>;
  var gradient: array<vec4f, ROWS * QUADS>;
  var sum: array<vec4f, ROWS * QUADS>;
  var d: array<f32, ROWS>;
  var lse: array<f32, ROWS>;
  for (var i = 0u; i < ROWS; i++) { // unroll
    let row = at.sequence + min(own + 4 * i, T - 1);
    for (var q = 0u; q < QUADS; q++) { // unroll
      query[i * QUADS + q] = vec4f(qkv[row * pitch() + at.head * QUADS + q]) * scale();
      gradient[i * QUADS + q] = dout[(row * H + at.head) * QUADS + q];
      d[i] += dot(gradient[i * QUADS + q], saved_out[(row * H + at.head) * QUADS + q]);
    }
    lse[i] = saved_logsumexp[row * H + at.head];
  }
  let end = min(T, (at.block + 1) * BLOCK);
  for (var t = 0u; t < end; t += 4) {
    if (STAGE > 0 && t % max(STAGE, 1) == 0) {
      workgroupBarrier();
      stage_keys(t, at, index);
      workgroupBarrier();
    }
    var scores = array<vec4f, ROWS>();
    var dp = array<vec4f, ROWS>();
    var keys: array<vec4f, 4 * QUADS>;
    for (var q = 0u; q < QUADS; q++) { // unroll
      let k = four_of(at.sequence, t, key, q, lane);
      let v = four_of_values(at.sequence, t, key, q, lane);
      for (var i = 0u; i < ROWS; i++) { // unroll
        let x = query[i * QUADS + q];
        let g = gradient[i * QUADS + q];
        scores[i] += vec4f(dot(x, k[0]), dot(x, k[1]), dot(x, k[2]), dot(x, k[3]));
        dp[i] += vec4f(dot(g, v[0]), dot(g, v[1]), dot(g, v[2]), dot(g, v[3]));
      }
      for (var l = 0u; l < 4; l++) { // unroll
        keys[l * QUADS + q] = k[l];
      }
    }
    for (var i = 0u; i < ROWS; i++) { // unroll
      let p = select(exp(scores[i] - lse[i]), vec4f(0), after(t, own + 4 * i));
      let ds = p * (dp[i] - d[i]);
      for (var q = 0u; q < QUADS; q++) { // unroll
        sum[i * QUADS + q] += ds.x * keys[q] + ds.y * keys[QUADS + q] + ds.z * keys[2 * QUADS + q] + ds.w * keys[3 * QUADS + q];
      }
    }
  }
  for (var i = 0u; i < ROWS; i++) { // unroll
    if (own + 4 * i < T) {
      let row = at.sequence + own + 4 * i;
      for (var q = 0u; q < QUADS; q++) { // unroll
        dqkv[row * pitch() + at.head * QUADS + q] = sum[i * QUADS + q] * scale();
      }
      delta[row * H + at.head] = d[i];
    }
  }
}

@group(0) @binding(8) var<storage, read> saved_delta: array<f32>;

fn stage_queries(first: u32, sequence: u32, head: u32, index: u32) {
  for (var i = index; i < STAGE * QUADS; i += 4 * ROW_GROUPS) {
    let row = sequence + min(first + i / QUADS, T - 1);
    staged[i] = qkv[row * pitch() + head * QUADS + i % QUADS];
    staged_gradients[i] = dout[(row * H + head) * QUADS + i % QUADS];
  }
}

// Quad q of a head's rows t .. t + 3 in dout, as `four_of`.
fn four_of_dout(sequence: u32, t: u32, head: u32, q: u32, lane: u32) -> array<vec4f, 4> {
  if (SHARES) {
    return handed_round(dout[((sequence + min(t + lane, T - 1)) * H + head) * QUADS + q]);
  }
  var rows: array<vec4f, 4>;
  for (var l = 0u; l < 4; l++) { // unroll
    if (STAGE > 0) {
      rows[l] = staged_gradients[(t % max(STAGE, 1) + l) * QUADS + q];
    } else {
      rows[l] = dout[((sequence + min(t + l, T - 1)) * H + head) * QUADS + q];
    }
  }
  return rows;
}

// dk, dv: sums over the query heads that read a key-value head and the rows that see its row.
@compute @workgroup_size(4 * ROW_GROUPS)
fn key_value_backward(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) index: u32) {
  let at = place(group.x, G);
  let own = own_row(at.block, index);
  let lane = index & 3;
  var key: array<vec4f, ROWS * QUADS>;
  var value: array<vec4f, ROWS * QUADS>;
  var dkey: array<vec4f, ROWS * QUADS>;
  var dvalue: array<vec4f, ROWS * QUADS>;
  for (var i = 0u; i < ROWS; i++) { // unroll
    let start = (at.sequence + min(own + 4 * i, T - 1)) * pitch() + (H + at.head) * QUADS;
    for (var q = 0u; q < QUADS; q++) { // unroll
      key[i * QUADS + q] = vec4f(qkv[start + q]) * scale();
      value[i * QUADS + q] = vec4f(qkv[start + G * QUADS + q]);
    }
  }
  // The first row that sees a key of the block, and with staging the first of its stage.
  let first = at.block * BLOCK / max(STAGE, 1) * max(STAGE, 1);
  for (var head = at.head * (H / G); head < (at.head + 1) * (H / G); head++) {
    for (var t = first; t < T; t += 4) {
      if (STAGE > 0 && t % max(STAGE, 1) == 0) {
        workgroupBarrier();
        stage_queries(t, at.sequence, head, index);
        workgroupBarrier();
      }
      var scores = array<vec4f, ROWS>();
      var dp = array<vec4f, ROWS>();
      var queries: array<vec4f, 4 * QUADS>;
      var gradients: array<vec4f, 4 * QUADS>;
      for (var q = 0u; q < QUADS; q++) { // unroll
        let x = four_of(at.sequence, t, head * QUADS, q, lane);
        let g = four_of_dout(at.sequence, t, head, q, lane);
        for (var i = 0u; i < ROWS; i++) { // unroll
          let k = key[i * QUADS + q];
          let v = value[i * QUADS + q];
          scores[i] += vec4f(dot(k, x[0]), dot(k, x[1]), dot(k, x[2]), dot(k, x[3]));
          dp[i] += vec4f(dot(v, g[0]), dot(v, g[1]), dot(v, g[2]), dot(v, g[3]));
        }
        for (var l = 0u; l < 4; l++) { // unroll
          queries[l * QUADS + q] = x[l];
          gradients[l * QUADS + q] = g[l];
        }
      }
      var lse: vec4f;
      var d: vec4f;
      for (var l = 0u; l < 4; l++) { // unroll
        let row = (at.sequence + min(t + l, T - 1)) * H + head;
        lse[l] = saved_logsumexp[row];
        d[l] = saved_delta[row];
      }
      // Rows past the sequence see nothing.
      let rows = vec4u(t, t + 1, t + 2, t + 3);
      for (var i = 0u; i < ROWS; i++) { // unroll
        let hidden = (rows < vec4u(own + 4 * i)) | (rows >= vec4u(T));
        let p = select(exp(scores[i] - lse), vec4f(0), hidden);
        let ds = p * (dp[i] - d);
        for (var q = 0u; q < QUADS; q++) { // unroll
          dkey[i * QUADS + q] += ds.x * queries[q] + ds.y * queries[QUADS + q] + ds.z * queries[2 * QUADS + q] + ds.w * queries[3 * QUADS + q];
          dvalue[i * QUADS + q] += p.x * gradients[q] + p.y * gradients[QUADS + q] + p.z * gradients[2 * QUADS + q] + p.w * gradients[3 * QUADS + q];
        }
      }
    }
  }
  for (var i = 0u; i < ROWS; i++) { // unroll
    if (own + 4 * i < T) {
      let start = (at.sequence + own + 4 * i) * pitch() + (H + at.head) * QUADS;
      for (var q = 0u; q < QUADS; q++) { // unroll
        dqkv[start + q] = dkey[i * QUADS + q] * scale();
        dqkv[start + G * QUADS + q] = dvalue[i * QUADS + q];
      }
    }
  }
}
