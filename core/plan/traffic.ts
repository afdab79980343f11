// Bytes that activations and their gradients need on site links, and exchanges on wide links, worked out from the plan
// alone: what the byte counts of the channels are held against. Headers, parameters and heartbeats are not in it.
import type { RunConfig, StrategyConfig } from "../model/config.ts";
import { windowCount } from "../data/batch.ts";
import { encodedBytes, saysLittle, type Codec } from "../reduce/codec.ts";
import { codecOfExchange } from "../reduce/outer.ts";
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

/** How values travel between sites; `last`: in the run's last exchange. */
export const wideCodec = (strategy: StrategyConfig, last: boolean): Codec =>
  strategy.kind === "sync" ? strategy.gradients : codecOfExchange(strategy, last);

/** Whether every site tells all others its term, and there are no sums to send back. */
export const isGathered = (strategy: StrategyConfig, sites: number, last: boolean): boolean =>
  sites === 2 || (strategy.kind === "rounds" && saysLittle(wideCodec(strategy, last)));

/** What each site sends in one exchange of so many values. `shares`: of the sums, by site. */
export function exchangeBytes(
  strategy: StrategyConfig,
  values: number,
  shares: readonly number[],
  last: boolean,
): number[] {
  const others = shares.length - 1;
  if (others === 0) return [0];
  const all = encodedBytes(wideCodec(strategy, last), values);
  // Of every value its term, unless it takes the sum; and the sum to all others, if it does.
  return shares.map(
    (share) => all * (isGathered(strategy, shares.length, last) ? others : 1 - share + others * share),
  );
}
