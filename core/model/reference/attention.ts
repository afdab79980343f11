// Causal grouped-query attention in float64. Sources: Ainslie et al., "GQA", 2023; backward by the identities
// of Dao, "FlashAttention-2", 2023: probabilities again from the saved logsumexp, row sums from the output.

/** B sequences of T positions (rows b*T + t), H query heads over G key and value heads of D elements. */
export interface AttentionShape {
  readonly B: number;
  readonly T: number;
  readonly H: number;
  /** Divides H: query head h reads key and value head floor(h G / H). */
  readonly G: number;
  readonly D: number;
}

/**
 * For q[R,H*D], k[R,G*D], v[R,G*D], with s_ij = q_i.k_j / sqrt(D) over j <= i of the same sequence:
 * logsumexp[R,H]_i = ln sum_j e^(s_ij), output[R,H*D]_i = sum_j e^(s_ij - logsumexp_i) v_j.
 */
export function attention(
  q: Float64Array,
  k: Float64Array,
  v: Float64Array,
  shape: AttentionShape,
): { output: Float64Array; logsumexp: Float64Array } {
  const { B, T, H, D } = shape;
  const output = new Float64Array(B * T * H * D);
  const logsumexp = new Float64Array(B * T * H);
  forEachQuery(shape, (query, keys) => {
    const scores = keys.map((key) => score(q, query * D, k, key * D, D));
    const largest = Math.max(...scores);
    logsumexp[query] = largest + Math.log(scores.reduce((sum, s) => sum + Math.exp(s - largest), 0));
    keys.forEach((key, j) => {
      const p = Math.exp(scores[j] - logsumexp[query]);
      for (let d = 0; d < D; d++) output[query * D + d] += p * v[key * D + d];
    });
  });
  return { output, logsumexp };
}

/** delta[R,H]_i = sum_d dOutput[i,d] output[i,d], which equals sum_j p_ij dp_ij. */
export function attentionDelta(
  output: Float64Array,
  dOutput: Float64Array,
  { B, T, H, D }: AttentionShape,
): Float64Array {
  const delta = new Float64Array(B * T * H);
  for (let i = 0; i < output.length; i++) delta[Math.floor(i / D)] += dOutput[i] * output[i];
  return delta;
}

/**
 * dq[R,H*D], dk[R,G*D], dv[R,G*D] for dOutput[R,H*D], given what `attention` returned. With
 * p_ij = e^(s_ij - logsumexp_i), dp_ij = dOutput_i.v_j and ds_ij = p_ij (dp_ij - delta_i):
 * dv_j = sum_i p_ij dOutput_i, dq_i = sum_j ds_ij k_j / sqrt(D), dk_j = sum_i ds_ij q_i / sqrt(D),
 * sums over i running over all query heads that share j's head.
 */
export function attentionBackward(
  q: Float64Array,
  k: Float64Array,
  v: Float64Array,
  output: Float64Array,
  logsumexp: Float64Array,
  dOutput: Float64Array,
  shape: AttentionShape,
): { dq: Float64Array; dk: Float64Array; dv: Float64Array } {
  const { D } = shape;
  const dq = new Float64Array(q.length);
  const dk = new Float64Array(k.length);
  const dv = new Float64Array(v.length);
  const delta = attentionDelta(output, dOutput, shape);
  forEachQuery(shape, (query, keys) => {
    for (const key of keys) {
      const p = Math.exp(score(q, query * D, k, key * D, D) - logsumexp[query]);
      let dp = 0;
      for (let d = 0; d < D; d++) dp += dOutput[query * D + d] * v[key * D + d];
      const ds = (p * (dp - delta[query])) / Math.sqrt(D);
      for (let d = 0; d < D; d++) {
        dv[key * D + d] += p * dOutput[query * D + d];
        dq[query * D + d] += ds * k[key * D + d];
        dk[key * D + d] += ds * q[query * D + d];
      }
    }
  });
  return { dq, dk, dv };
}

/** Visits each (row, head) of the queries, as row*H + head, with the keys it sees, each as row*G + head. */
function forEachQuery({ B, T, H, G }: AttentionShape, visit: (query: number, keys: number[]) => void): void {
  for (let b = 0; b < B; b++) {
    for (let t = 0; t < T; t++) {
      for (let h = 0; h < H; h++) {
        const head = Math.floor((h * G) / H);
        visit(
          (b * T + t) * H + h,
          Array.from({ length: t + 1 }, (_, j) => (b * T + j) * G + head),
        );
      }
    }
  }
}

function score(q: Float64Array, queryAt: number, k: Float64Array, keyAt: number, D: number): number {
  let dot = 0;
  for (let d = 0; d < D; d++) dot += q[queryAt + d] * k[keyAt + d];
  return dot / Math.sqrt(D);
}
