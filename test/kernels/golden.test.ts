// Fifty steps of training against recorded losses: a change that means to keep the mathematics keeps the curve.
import { expect, test } from "vitest";
import { initialTensor, parameterSpace } from "../../core/model/parameters.ts";
import { Random } from "../../core/random.ts";
import losses from "../fixtures/golden-losses.json" with { type: "json" };
import { smallModel } from "../fixtures/models.ts";
import { filledStage, specOf } from "./stages.ts";

const B = 4;
const model = smallModel({ layers: 2, width: 32, heads: 4, kvHeads: 2, hidden: 64, context: 32, vocab: 64 });

/** Sequences in which a token is most often a fixed function of the one before. */
function batchOf(random: Random): { inputs: Uint32Array<ArrayBuffer>; targets: Uint32Array<ArrayBuffer> } {
  const tokens = Uint32Array.from({ length: B * (model.context + 1) }, () => random.below(model.vocab));
  for (let i = 1; i < tokens.length; i++) {
    if (random.unit() < 0.8) tokens[i] = (tokens[i - 1]! * 5 + 3) % model.vocab;
  }
  const rows = (from: number) =>
    Uint32Array.from({ length: B * model.context }, (_, i) => {
      const sequence = Math.floor(i / model.context);
      return tokens[sequence * (model.context + 1) + (i % model.context) + from]!;
    });
  return { inputs: rows(0), targets: rows(1) };
}

test("the losses of fifty steps are the recorded ones", async () => {
  const { tensors, size } = parameterSpace(model);
  const parameters = new Float64Array(size);
  for (const tensor of tensors) parameters.set(initialTensor(model, tensor, 1), tensor.offset);
  const stage = await filledStage(specOf(model, { microbatch: B }), parameters);
  const random = new Random(1);
  const curve: number[] = [];
  for (let step = 1; step <= losses.length; step++) {
    const { inputs, targets } = batchOf(random);
    stage.zero();
    stage.setTokens(0, inputs, targets);
    stage.forward(0);
    stage.backward(0);
    const tokens = B * model.context;
    const norm = Math.sqrt((await stage.sums()).squaredNorm) / tokens;
    curve.push((await stage.lossSum()) / tokens);
    stage.apply({ step, scale: Math.min(1, 1 / norm) / tokens, lr: 0.003 });
  }
  stage.destroy();
  const differences = curve.map((loss, i) => Math.abs(loss / losses[i]! - 1));
  expect(Math.max(...differences)).toBeLessThan(1e-5);
});
