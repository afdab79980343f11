// Draws the next token from a model's logits.
import type { Random } from "../random.ts";

/**
 * A token drawn from softmax(logits / temperature); the likeliest one at temperature 0.
 * `logits`: [V].
 */
export function sampleToken(logits: Float32Array, temperature: number, random: Random): number {
  let best = 0;
  for (let v = 1; v < logits.length; v++) if (logits[v]! > logits[best]!) best = v;
  if (temperature === 0) return best;
  const weights = Float64Array.from(logits, (logit) => Math.exp((logit - logits[best]!) / temperature));
  let left = random.unit() * weights.reduce((sum, weight) => sum + weight, 0);
  for (let v = 0; v < weights.length; v++) {
    left -= weights[v]!;
    if (left < 0) return v;
  }
  return best;
}
