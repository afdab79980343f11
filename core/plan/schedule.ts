// 1F1B: the order in which one stage of a pipeline works through its microbatches.
// Source: Narayanan et al., "PipeDream", SOSP 2019; as used with a flush a step in Megatron-LM (SC 2021).

export interface PipelineOp {
  readonly kind: "forward" | "backward";
  /** Position in the replica's list of microbatches. */
  readonly index: number;
}

/** Microbatches whose activations stage `stage` of `stages` holds at once, at most. */
export function inFlight(stage: number, stages: number, microbatches: number): number {
  return Math.min(stages - stage, microbatches);
}

/**
 * Operations of a stage in order: forwards until the pipeline behind it is full, then one backward for each
 * forward, then the remaining backwards. Backwards run in microbatch order, so gradients add up in the same
 * order on every run.
 */
export function oneForwardOneBackward(stage: number, stages: number, microbatches: number): PipelineOp[] {
  const warmup = inFlight(stage, stages, microbatches);
  const ops: PipelineOp[] = [];
  for (let index = 0; index < warmup; index++) ops.push({ kind: "forward", index });
  for (let index = 0; index < microbatches; index++) {
    ops.push({ kind: "backward", index });
    if (index + warmup < microbatches) ops.push({ kind: "forward", index: index + warmup });
  }
  return ops;
}
