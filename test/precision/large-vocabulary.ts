// A model with the vocabulary of SmolLM2 but little else, against float64: rows of logits so long that lavapipe would
// end the loops of one invocation over them.
import { ModelConfig } from "../../core/model/config.ts";
import { initialTensor, parameterSpace, stageRange } from "../../core/model/parameters.ts";
import { lossAndGradient } from "../../core/model/reference/model.ts";
import { Random } from "../../core/random.ts";
import type { Gpu } from "../../web/engine/device.ts";
import { Stage } from "../../web/engine/stage.ts";

const model = ModelConfig.parse({
  layers: 1,
  width: 16,
  heads: 2,
  kvHeads: 1,
  hidden: 16,
  context: 8,
  vocab: 49_152,
  tied: false,
});

/** Errors of the loss, relative, and of the gradient, relative to its largest value; the larger. */
export async function largeVocabularyError(gpu: Gpu): Promise<number> {
  const { tensors, size } = parameterSpace(model);
  const parameters = new Float32Array(size);
  for (const tensor of tensors) parameters.set(initialTensor(model, tensor, 1), tensor.offset);
  const random = new Random(1);
  const draw = () => Uint32Array.from({ length: model.context }, () => random.below(model.vocab));
  const [inputs, targets] = [draw(), draw()];
  const expected = lossAndGradient(model, Float64Array.from(parameters), inputs, targets, 1, model.context);
  const stage = await Stage.create(gpu, {
    model,
    range: stageRange(model, 0, model.layers),
    microbatch: 1,
    slots: 1,
    recompute: false,
    split: false,
    precision: "f32",
    optimizer: { beta1: 0.9, beta2: 0.95, eps: 1e-8, weightDecay: 0 },
  });
  stage.write("parameters", parameters, 0);
  stage.zero();
  stage.setTokens(0, inputs, targets);
  stage.forward(0);
  stage.backward(0);
  const lossError = Math.abs((await stage.lossSum()) / expected.lossSum - 1);
  const gradient = await stage.gradient();
  stage.destroy();
  let [largest, error] = [0, 0];
  for (const [i, value] of expected.gradient.entries()) {
    largest = Math.max(largest, Math.abs(value));
    error = Math.max(error, Math.abs(gradient[i] - value));
  }
  return Math.max(lossError, error / largest);
}
