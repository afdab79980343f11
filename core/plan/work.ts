// What a stage computes for one microbatch, in FLOPs, as `blockFlops` and `headFlops` count them.
// Not here: how long that takes (speed.ts, fit-speed.ts).
import type { ModelConfig } from "../model/config.ts";
import { blockFlops, headFlops } from "./partition.ts";
import type { StageSpec } from "./memory.ts";

/** FLOPs of blocks, and of the head. */
export interface Work {
  readonly block: number;
  readonly head: number;
}

export interface StageWork {
  /** With the head's backward, which is part of its forward. */
  readonly forward: Work;
  readonly backward: Work;
  /** The two halves of a backward: gradients of inputs, and of weights. */
  readonly input: Work;
  readonly weights: Work;
  /** Forward and loss only. */
  readonly evaluate: Work;
}

/** A backward counts as two forwards. What `recompute` does again is not counted. */
export function stageWork({
  model,
  range,
  microbatch,
}: Pick<StageSpec, "model" | "range" | "microbatch">): StageWork {
  const tokens = microbatch * model.context;
  const block = (range.last - range.first) * blockFlops(model) * tokens;
  const head = range.head ? headFlops(model) * tokens : 0;
  const weights = 2 * block * weightsShare(model);
  return {
    forward: { block, head: 3 * head },
    backward: { block: 2 * block, head: 0 },
    input: { block: 2 * block - weights, head: 0 },
    weights: { block: weights, head: 0 },
    evaluate: { block, head },
  };
}

/** Of a block's backward, the part that gradients of weights are: half of all but attention's scores, which have none. */
export function weightsShare(model: ModelConfig): number {
  return (1 - (2 * model.context * model.width) / blockFlops(model)) / 2;
}

export function flopsOf({ block, head }: Work): number {
  return block + head;
}
