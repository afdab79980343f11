// Softmax cross-entropy in float64, summed over tokens, never averaged: shares of a batch then add up exactly.
// A row whose target is IGNORE adds nothing to the loss, the count or the gradient.
import { IGNORE } from "../../data/batch.ts";

/** R rows of logits over V tokens. */
export interface CrossEntropyShape {
  readonly R: number;
  readonly V: number;
}

/**
 * For logits[R,V] and targets[R] (below V, or IGNORE), over rows with a target:
 * lossSum = sum_r (ln sum_v e^(logits[r,v]) - logits[r,target_r]) in nats, count = number of such rows,
 * dLogits[R,V] = softmax(logits) - onehot(target), the gradient of lossSum; rows without a target are zero.
 */
export function crossEntropy(
  logits: Float64Array,
  targets: Uint32Array,
  { R, V }: CrossEntropyShape,
): { lossSum: number; count: number; dLogits: Float64Array } {
  const dLogits = new Float64Array(R * V);
  let lossSum = 0;
  let count = 0;
  for (let r = 0; r < R; r++) {
    const target = targets[r];
    if (target === IGNORE) continue;
    const row = logits.subarray(r * V, (r + 1) * V);
    const largest = row.reduce((a, b) => Math.max(a, b), -Infinity);
    const logsumexp = largest + Math.log(row.reduce((sum, z) => sum + Math.exp(z - largest), 0));
    lossSum += logsumexp - row[target];
    count++;
    for (let v = 0; v < V; v++) dLogits[r * V + v] = Math.exp(row[v] - logsumexp) - (v === target ? 1 : 0);
  }
  return { lossSum, count, dLogits };
}
