// Bytes that activations and their gradients need on site links, worked out from the plan alone: what the byte
// counts of the channels are held against. Headers, parameters and heartbeats are not in it.
import type { RunConfig } from "../model/config.ts";
import { windowCount } from "../data/batch.ts";
import { encodedBytes } from "../reduce/codec.ts";
import type { Plan, Replica } from "./plan.ts";

/** One microbatch's activations [B, T, C] on one hop. */
export function microbatchBytes({ microbatch: B, model, activations }: RunConfig): number {
  return encodedBytes(activations, B * model.context * model.width);
}

/** A training step of these replicas: every microbatch crosses each hop once forward and once backward. */
export function stepActivationBytes(config: RunConfig, replicas: readonly Replica[]): number {
  return replicas.reduce(
    (sum, { stages, microbatches }) =>
      sum + 2 * microbatches.length * (stages.length - 1) * microbatchBytes(config),
    0,
  );
}

/** A validation over `tokens` tokens: batches of windows dealt out over the replicas, forward only. */
export function validationActivationBytes(config: RunConfig, plan: Plan, tokens: number): number {
  const batches = Math.ceil(windowCount(tokens, config.model.context) / config.microbatch);
  return plan.replicas.reduce((sum, { stages }, r) => {
    const own = Math.ceil((batches - r) / plan.replicas.length);
    return sum + own * (stages.length - 1) * microbatchBytes(config);
  }, 0);
}

/** A sample of `tokens` tokens from the first replica: the rows of one sequence, forward only. */
export function sampleActivationBytes(config: RunConfig, plan: Plan, prompt: number, tokens: number): number {
  const { context: T, width: C } = config.model;
  let bytes = 0;
  for (let i = 0; i < tokens; i++) bytes += encodedBytes(config.activations, Math.min(T, prompt + i) * C);
  return bytes * (plan.replicas[0]!.stages.length - 1);
}
