// What a stage computes for one microbatch, in FLOPs, as `blockFlops` and `headFlops` count them.
// Not here: how long that takes (speed.ts, fit-speed.ts).
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
  return {
    forward: { block, head: 3 * head },
    backward: { block: 2 * block, head: 0 },
    evaluate: { block, head },
  };
}

export function flopsOf({ block, head }: Work): number {
  return block + head;
}
