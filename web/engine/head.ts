// The model's end as operations: final norm, output projection, cross-entropy; and their backward.
import type { ModelConfig } from "../../core/model/config.ts";
import { crossEntropy, matmul, norm, normBackward } from "./operations.ts";
import type { Binding, Operation } from "./program.ts";

export interface HeadBuffers {
  readonly scratch: (name: string) => Binding;
  /** Output of the last block. */
  readonly x: Binding;
  readonly targets: Binding;
  readonly gain: Binding;
  readonly gainGradient: Binding;
  /** Output projection [V,C]: the head's own, the stage's embedding, or its borrowed copy. */
  readonly projection: Binding;
  readonly projectionGradient: Binding;
}

/** Adds each row's loss to `losses`. With `gradient`, the logits become the gradient of the loss by the logits. */
export function headForward(
  model: ModelConfig,
  microbatch: number,
  buffers: HeadBuffers,
  gradient: boolean,
): Operation[] {
  const { scratch, x, targets, gain, projection } = buffers;
  const { width: C, vocab: V, normEps } = model;
  const R = microbatch * model.context;
  return [
    norm({ R, C }, normEps, x, gain, scratch("normed")),
    matmul({ layout: "nt", M: R, N: V, K: C }, scratch("normed"), projection, scratch("logits")),
    crossEntropy({ R, V }, gradient, scratch("logits"), targets, scratch("losses")),
  ];
}

/** Sets `stream` to the gradient by the last block's output. */
export function headBackward(model: ModelConfig, microbatch: number, buffers: HeadBuffers): Operation[] {
  const { scratch, x, gain, gainGradient, projection, projectionGradient } = buffers;
  const { width: C, vocab: V, normEps } = model;
  const R = microbatch * model.context;
  const dLogits = scratch("logits");
  const dy = scratch("dNormed");
  return [
    norm({ R, C }, normEps, x, gain, scratch("normed")),
    matmul({ layout: "tn", M: V, N: C, K: R }, dLogits, scratch("normed"), projectionGradient, "accumulate"),
    matmul({ layout: "nn", M: R, N: C, K: V }, dLogits, projection, dy),
    ...normBackward(
      { R, C },
      normEps,
      { x, gain, dy, dx: scratch("stream"), dgain: gainGradient, scales: scratch("scales") },
      false,
    ),
  ];
}
