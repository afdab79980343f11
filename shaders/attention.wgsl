// Causal grouped-query attention in the manner of FlashAttention-2 (Dao, 2023): the T x T scores are never
// stored; forward keeps the logsumexp of each row of scores, backward makes the scores again from it.
// q, out, dout, dq: [R, H*D]; k, v, dk, dv: [R, G*D]; logsumexp, delta: [R, H]; R = B*T rows, H query heads,
// G key-value heads, each read by H/G query heads without a copy. The head width D is QUADS * 4.
// No atomics: each result has one writer. One invocation a row and head; neighbours hold neighbouring rows of one
// head, so that they run loops of nearly the same length. Loops marked "unroll" are unrolled by
// web/engine/preprocess.ts.

const QUADS = 4u;
override R: u32;
override T: u32;
override H: u32;
override G: u32;

@group(0) @binding(0) var<storage, read> q: array<vec4f>;
@group(0) @binding(1) var<storage, read> k: array<vec4f>;
@group(0) @binding(2) var<storage, read> v: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> out: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> logsumexp: array<f32>;

fn scale() -> f32 {
  return inverseSqrt(f32(QUADS * 4));
}

@compute @workgroup_size(64)
fn forward(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= R * H) { return; }
  let row = id.x % R;
  let head = id.x / R;
  let start = (row * H + head) * QUADS;
  let kv_head = head / (H / G);
  var query: array<vec4f, QUADS>;
  var sum: array<vec4f, QUADS>;
  for (var i = 0u; i < QUADS; i++) { // unroll
    query[i] = q[start + i] * scale();
  }
  // Online softmax: weights are relative to the largest score so far.
  var largest = -3.0e38;
  var total = 0.0;
  for (var j = row - row % T; j <= row; j++) {
    let key = (j * G + kv_head) * QUADS;
    var score = 0.0;
    for (var i = 0u; i < QUADS; i++) { // unroll
      score += dot(query[i], k[key + i]);
    }
    let next = max(largest, score);
    let shrink = exp(largest - next);
    let weight = exp(score - next);
    total = total * shrink + weight;
    for (var i = 0u; i < QUADS; i++) { // unroll
      sum[i] = sum[i] * shrink + weight * v[key + i];
    }
    largest = next;
  }
  for (var i = 0u; i < QUADS; i++) { // unroll
    out[start + i] = sum[i] / total;
  }
  logsumexp[row * H + head] = largest + log(total);
}

@group(0) @binding(5) var<storage, read> saved_out: array<vec4f>;
@group(0) @binding(6) var<storage, read> saved_logsumexp: array<f32>;
@group(0) @binding(7) var<storage, read> dout: array<vec4f>;
@group(0) @binding(8) var<storage, read_write> delta: array<f32>;
@group(0) @binding(9) var<storage, read_write> dq: array<vec4f>;

// delta[r,h] = sum_i dout[r,h,i] out[r,h,i]; dq = sum_j ds_j k_j / sqrt(D), ds_j = p_j (dout . v_j - delta)
@compute @workgroup_size(64)
fn query_backward(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= R * H) { return; }
  let row = id.x % R;
  let head = id.x / R;
  let start = (row * H + head) * QUADS;
  let kv_head = head / (H / G);
  var query: array<vec4f, QUADS>;
  var gradient: array<vec4f, QUADS>;
  var sum: array<vec4f, QUADS>;
  var d = 0.0;
  for (var i = 0u; i < QUADS; i++) { // unroll
    query[i] = q[start + i] * scale();
    gradient[i] = dout[start + i];
    d += dot(gradient[i], saved_out[start + i]);
  }
  delta[row * H + head] = d;
  let lse = saved_logsumexp[row * H + head];
  for (var j = row - row % T; j <= row; j++) {
    let key = (j * G + kv_head) * QUADS;
    var score = 0.0;
    var dp = 0.0;
    for (var i = 0u; i < QUADS; i++) { // unroll
      score += dot(query[i], k[key + i]);
      dp += dot(gradient[i], v[key + i]);
    }
    let ds = exp(score - lse) * (dp - d);
    for (var i = 0u; i < QUADS; i++) { // unroll
      sum[i] += ds * k[key + i];
    }
  }
  for (var i = 0u; i < QUADS; i++) { // unroll
    dq[start + i] = sum[i] * scale();
  }
}

@group(0) @binding(10) var<storage, read> saved_delta: array<f32>;
@group(0) @binding(11) var<storage, read_write> dk: array<vec4f>;
@group(0) @binding(12) var<storage, read_write> dv: array<vec4f>;

// One invocation a row and key-value head: sums over the query heads that read it and the rows that see it.
@compute @workgroup_size(64)
fn key_value_backward(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= R * G) { return; }
  let row = id.x % R;
  let kv_head = id.x / R;
  let start = (row * G + kv_head) * QUADS;
  let end = row - row % T + T;
  var key: array<vec4f, QUADS>;
  var value: array<vec4f, QUADS>;
  var dkey: array<vec4f, QUADS>;
  var dvalue: array<vec4f, QUADS>;
  for (var i = 0u; i < QUADS; i++) { // unroll
    key[i] = k[start + i] * scale();
    value[i] = v[start + i];
  }
  for (var head = kv_head * (H / G); head < (kv_head + 1) * (H / G); head++) {
    for (var t = row; t < end; t++) {
      let query = t * H + head;
      var score = 0.0;
      var dp = 0.0;
      for (var i = 0u; i < QUADS; i++) { // unroll
        score += dot(q[query * QUADS + i], key[i]);
        dp += dot(dout[query * QUADS + i], value[i]);
      }
      let p = exp(score - saved_logsumexp[query]);
      let ds = p * (dp - saved_delta[query]);
      for (var i = 0u; i < QUADS; i++) { // unroll
        dkey[i] += ds * q[query * QUADS + i];
        dvalue[i] += p * dout[query * QUADS + i];
      }
    }
  }
  for (var i = 0u; i < QUADS; i++) { // unroll
    dk[start + i] = dkey[i] * scale();
    dv[start + i] = dvalue[i];
  }
}
