// The whole model in float64: logits, and the loss with its gradient. The truth for a stage, a pipeline of stages
// and a training step.
// Not here: speed, or anything a worker runs.
import type { ModelConfig } from "../config.ts";
import { EMBEDDING, FINAL_NORM, HEAD, parameterSpace } from "../parameters.ts";
import { blockBackward, blockForward, type BlockActivations, type TensorOf } from "./block.ts";
import { crossEntropy } from "./cross-entropy.ts";
import { accumulate } from "./elementwise.ts";
import { embedding, embeddingBackward } from "./embedding.ts";
import { linear, linearInputGradient, linearWeightGradient } from "./matmul.ts";
import { rmsNorm, rmsNormBackward } from "./norm.ts";

interface Forward {
  readonly blocks: readonly BlockActivations[];
  /** Output of the last block, [R,C]. */
  readonly x: Float64Array;
  readonly normed: Float64Array;
  readonly logits: Float64Array;
}

/** Logits [R,V] of inputs[R], R = B*T; `parameters` is the flat canonical space. */
export function logits(
  model: ModelConfig,
  parameters: Float64Array,
  inputs: Uint32Array,
  B: number,
  T: number,
): Float64Array {
  return forward(model, viewsOf(model, parameters), inputs, B, T).logits;
}

/**
 * Sum of -ln p(target) over the rows that have one (nats), their number, and the gradient of that sum in the flat
 * canonical space, zero in its padding. inputs[R] are below V, targets[R] below V or IGNORE.
 */
export function lossAndGradient(
  model: ModelConfig,
  parameters: Float64Array,
  inputs: Uint32Array,
  targets: Uint32Array,
  B: number,
  T: number,
): { lossSum: number; tokens: number; gradient: Float64Array } {
  const { width: C, vocab: V, normEps: eps } = model;
  const R = B * T;
  const gradient = new Float64Array(parameters.length);
  const weight = viewsOf(model, parameters);
  const gradientOf = viewsOf(model, gradient);
  const { blocks, x, normed, logits } = forward(model, weight, inputs, B, T);
  const { lossSum, count, dLogits } = crossEntropy(logits, targets, { R, V });

  const head = headName(model);
  accumulate(gradientOf(head), linearWeightGradient(dLogits, normed, { M: R, N: V, K: C }));
  const dNormed = linearInputGradient(dLogits, weight(head), { M: R, N: V, K: C });
  const { dx: dLast, dGain } = rmsNormBackward(x, weight(FINAL_NORM), dNormed, { R, C, eps });
  accumulate(gradientOf(FINAL_NORM), dGain);
  let dx = dLast;
  for (let layer = model.layers - 1; layer >= 0; layer--) {
    dx = blockBackward(model, inLayer(weight, layer), inLayer(gradientOf, layer), blocks[layer], dx, B, T);
  }
  accumulate(gradientOf(EMBEDDING), embeddingBackward(dx, inputs, { V, C }));
  return { lossSum, tokens: count, gradient };
}

function forward(model: ModelConfig, weight: TensorOf, inputs: Uint32Array, B: number, T: number): Forward {
  const { width: C, vocab: V, normEps: eps } = model;
  const R = B * T;
  const blocks: BlockActivations[] = [];
  let x = embedding(weight(EMBEDDING), inputs, { C });
  for (let layer = 0; layer < model.layers; layer++) {
    const { y, activations } = blockForward(model, inLayer(weight, layer), x, B, T);
    blocks.push(activations);
    x = y;
  }
  const normed = rmsNorm(x, weight(FINAL_NORM), { R, C, eps });
  return { blocks, x, normed, logits: linear(normed, weight(headName(model)), { M: R, N: V, K: C }) };
}

const headName = (model: ModelConfig): string => (model.tied ? EMBEDDING : HEAD);

/** Finds a tensor of the flat space by its full name. */
function viewsOf(model: ModelConfig, flat: Float64Array): TensorOf {
  const views = new Map(
    parameterSpace(model).tensors.map(({ name, offset, size }) => [
      name,
      flat.subarray(offset, offset + size),
    ]),
  );
  return (name) => {
    const view = views.get(name);
    if (!view) throw new Error(`the model has no tensor '${name}'`);
    return view;
  };
}

const inLayer =
  (tensor: TensorOf, layer: number): TensorOf =>
  (name) =>
    tensor(`model.layers.${layer}.${name}.weight`);
