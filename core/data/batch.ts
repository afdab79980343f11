// Which tokens train which step: a pure function of seed, step and place in the batch, so that every worker of
// every cluster draws the same batch without talking to the others.
import type { RunConfig } from "../model/config.ts";
import { hashText, Random } from "../random.ts";

/** Target that counts for nothing: neither loss nor gradient. */
export const IGNORE = 0xffffffff;

export type Tokens = Uint8Array | Uint16Array | Uint32Array;

/** Inputs and the token that follows each of them, both [B * T]. */
export interface Batch {
  readonly inputs: Uint32Array<ArrayBuffer>;
  readonly targets: Uint32Array<ArrayBuffer>;
  /** Targets that are not IGNORE. */
  readonly tokens: number;
}

/**
 * Microbatch `microbatch` of step `step` (both as in the plan: microbatches count over the global batch):
 * B windows of T + 1 tokens, each from a uniformly random place of the training tokens.
 */
export function trainingBatch(config: RunConfig, train: Tokens, step: number, microbatch: number): Batch {
  const { microbatch: B, model, seed } = config;
  const T = model.context;
  const inputs = new Uint32Array(B * T);
  const targets = new Uint32Array(B * T);
  for (let b = 0; b < B; b++) {
    const sequence = microbatch * B + b;
    const random = new Random(hashText(`${seed}/${step}/${sequence}`));
    const start = random.below(train.length - T);
    inputs.set(train.subarray(start, start + T), b * T);
    targets.set(train.subarray(start + 1, start + T + 1), b * T);
  }
  return { inputs, targets, tokens: B * T };
}

/** Windows that cover `tokens` once: T tokens in, the T that follow each as targets; the last may be shorter. */
export function windowCount(tokens: number, T: number): number {
  return Math.ceil((tokens - 1) / T);
}

/**
 * Batch of `B` non-overlapping windows from window `first` on. Rows past the end of the text, and the rest of a
 * shorter last window, have IGNORE targets.
 */
export function windowBatch(tokens: Tokens, first: number, B: number, T: number): Batch {
  const inputs = new Uint32Array(B * T);
  const targets = new Uint32Array(B * T).fill(IGNORE);
  let count = 0;
  for (let b = 0; b < B; b++) {
    const start = (first + b) * T;
    const length = Math.max(0, Math.min(T, tokens.length - 1 - start));
    inputs.set(tokens.subarray(start, start + length), b * T);
    targets.set(tokens.subarray(start + 1, start + 1 + length), b * T);
    count += length;
  }
  return { inputs, targets, tokens: count };
}
