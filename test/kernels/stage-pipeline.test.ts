// A model cut into stages, activations passed by hand: it must compute what one stage computes, in either order.
import { describe, expect, test } from "vitest";
import type { ModelConfig } from "../../core/model/config.ts";
import { lossAndGradient } from "../../core/model/reference/model.ts";
import type { Precision } from "../../core/plan/memory.ts";
import { inFlight, oneForwardOneBackward } from "../../core/plan/schedule.ts";
import type { Op } from "../../core/plan/timeline.ts";
import { zeroBubble } from "../../core/plan/zero-bubble.ts";
import { Random } from "../../core/random.ts";
import type { Stage } from "../../web/engine/stage.ts";
import { expectClose } from "../fixtures/arrays.ts";
import { randomParameters, smallModel } from "../fixtures/models.ts";
import { filledStage, microbatchOf, specOf } from "./stages.ts";

const B = 2;
const MICROBATCHES = 4;
/** Where a model of three blocks is cut. */
const CUTS = [[3], [1, 3], [2, 3], [1, 2, 3]];

type Microbatch = ReturnType<typeof microbatchOf>;

/** One stage for each range of blocks that ends at `ends`, each with the slots that 1F1B, or ZB-H1, needs. */
function stagesOf(
  model: ModelConfig,
  ends: readonly number[],
  parameters: Float64Array,
  { split = false, precision = "f32" as Precision } = {},
): Promise<Stage[]> {
  return Promise.all(
    ends.map((last, i) => {
      const slots = inFlight(split ? 0 : i, ends.length, MICROBATCHES);
      const range = { first: ends[i - 1] ?? 0, last };
      return filledStage(specOf(model, { ...range, microbatch: B, slots, split, precision }), parameters);
    }),
  );
}

/**
 * Runs every stage in its order, each operation as soon as what it needs is there, then folds the gradient of a
 * borrowed embedding into its owner's.
 */
async function step(
  model: ModelConfig,
  stages: readonly Stage[],
  batches: readonly Microbatch[],
  order: typeof oneForwardOneBackward | typeof zeroBubble = oneForwardOneBackward,
) {
  const last = stages.length - 1;
  const queues = stages.map((_, s): Op[] => order(s, stages.length, batches.length));
  const activations = new Map<string, Float32Array>();
  const gradients = new Map<string, Float32Array>();
  for (const stage of stages) stage.zero();
  while (queues.some((queue) => queue.length > 0)) {
    let progress = false;
    for (const [s, stage] of stages.entries()) {
      const op = queues[s][0];
      if (!op) continue;
      const slot = op.index % inFlight(order === zeroBubble ? 0 : s, stages.length, batches.length);
      if (op.kind === "weights") {
        queues[s].shift();
        stage.backwardWeights(slot);
        progress = true;
        continue;
      }
      const arrived = (op.kind === "forward" ? activations : gradients).get(`${s} ${op.index}`);
      if ((op.kind === "forward" ? s > 0 : s < last) && !arrived) continue;
      queues[s].shift();
      progress = true;
      if (op.kind === "forward") {
        const { inputs, targets } = batches[op.index];
        stage.setTokens(slot, s === 0 ? inputs : null, s === last ? targets : null);
        stage.forward(slot, arrived);
        if (s < last) activations.set(`${s + 1} ${op.index}`, await stage.output(slot));
      } else {
        if (op.kind === "input") stage.backwardInput(slot, arrived);
        else stage.backward(slot, arrived);
        if (s > 0) gradients.set(`${s - 1} ${op.index}`, await stage.inputGradient(slot));
      }
    }
    expect(progress, "some operation can run").toBe(true);
  }
  if (model.tied && last > 0) stages[0].addEmbeddingGradient(await stages[last].embeddingGradient());
}

async function joined(stages: readonly Stage[], read: (stage: Stage) => Promise<Float32Array>) {
  const parts = await Promise.all(stages.map(read));
  return Float32Array.from(parts.flatMap((part) => [...part]));
}

const readParameters = (stage: Stage) => stage.read("parameters");

describe.each([false, true])("three blocks, tied: %s", (tied) => {
  const model = smallModel({ layers: 3, tied, context: 5 });
  const random = new Random(tied ? 1 : 2);
  const parameters = randomParameters(model, random);
  const batches = Array.from({ length: MICROBATCHES }, () => microbatchOf(model, B, random));
  const expected = batches.map(({ inputs, targets }) =>
    lossAndGradient(model, parameters, inputs, targets, B, model.context),
  );
  const lossSum = expected.reduce((sum, { lossSum }) => sum + lossSum, 0);
  const gradient = parameters.map((_, i) => expected.reduce((sum, { gradient }) => sum + gradient[i], 0));

  test.each(CUTS)("blocks end at %j: loss and gradient", async (...ends) => {
    const stages = await stagesOf(model, ends, parameters);
    await step(model, stages, batches);
    expectClose([await stages.at(-1)!.lossSum()], [lossSum], { relative: 1e-5 });
    expectClose(await joined(stages, (stage) => stage.gradient()), gradient, { relative: 1e-5 });
    for (const stage of stages) stage.destroy();
  });

  test("cuts change no bit, but for the order in which a tied embedding's gradient is summed", async () => {
    const one = await stagesOf(model, [3], parameters);
    const three = await stagesOf(model, [1, 2, 3], parameters);
    await step(model, one, batches);
    await step(model, three, batches);
    expect(await three[2].lossSum()).toBe(await one[0].lossSum());
    const whole = await one[0].gradient();
    const cut = await joined(three, (stage) => stage.gradient());
    const from = tied ? model.vocab * model.width : 0;
    expect(cut.subarray(from)).toEqual(whole.subarray(from));
    expectClose(cut, whole, { relative: 1e-6 });
    for (const stage of [...one, ...three]) stage.destroy();
  });

  test.each([
    ["f32", [3]],
    ["f32", [1, 3]],
    ["f32", [1, 2, 3]],
    ["f16", [1, 3]],
  ] as const)("in %s, blocks end at %j: ZB-H1 has the bits of 1F1B", async (precision, ends) => {
    const results = [];
    for (const order of [oneForwardOneBackward, zeroBubble]) {
      const split = order === zeroBubble;
      const stages = await stagesOf(model, ends, parameters, { split, precision });
      const steps = [];
      for (const index of [1, 2]) {
        await step(model, stages, batches, order);
        steps.push(await stages.at(-1)!.lossSum(), await joined(stages, (stage) => stage.gradient()));
        for (const stage of stages) stage.apply({ step: index, scale: 0.01, lr: 0.01 });
        if (tied && stages.length > 1) stages.at(-1)!.writeEmbedding(await stages[0].readEmbedding());
      }
      results.push(steps);
      for (const stage of stages) stage.destroy();
    }
    expect(results[1]).toEqual(results[0]);
  });

  test("a split stage's whole backward is both halves; another stage's has none", async () => {
    const [whole] = await stagesOf(model, [3], parameters);
    const [split] = await stagesOf(model, [3], parameters, { split: true });
    await step(model, [whole], batches);
    await step(model, [split], batches);
    expect(await split.gradient()).toEqual(await whole.gradient());
    expect(() => whole.backwardWeights(0)).toThrow("make it with `split`");
    for (const stage of [whole, split]) stage.destroy();
  });

  test("three steps of the optimizer: the cut model stays with the whole one", async () => {
    const one = await stagesOf(model, [3], parameters);
    const two = await stagesOf(model, [1, 3], parameters);
    for (let index = 1; index <= 3; index++) {
      for (const stages of [one, two]) {
        await step(model, stages, batches);
        for (const stage of stages) stage.apply({ step: index, scale: 0.01, lr: 0.01 });
        if (tied && stages.length > 1) stages[1].writeEmbedding(await stages[0].readEmbedding());
      }
    }
    await step(model, one, batches);
    await step(model, two, batches);
    expectClose([await two[1].lossSum()], [await one[0].lossSum()], { relative: 1e-5 });
    expect((await one[0].lossSum()) < lossSum).toBe(true);
    const [cut, whole] = [await joined(two, readParameters), await joined(one, readParameters)];
    expectClose(cut, whole, { relative: 1e-5 });
    for (const stage of [...one, ...two]) stage.destroy();
  });

  test("evaluate passes through the stages", async () => {
    const stages = await stagesOf(model, [1, 3], parameters);
    const [{ inputs, targets }] = batches;
    stages[0].setTokens(0, inputs, null);
    stages[0].evaluate(0);
    stages[1].setTokens(0, null, targets);
    stages[1].evaluate(0, await stages[0].output(0));
    expectClose([await stages[1].lossSum()], [expected[0].lossSum], { relative: 1e-5 });
    for (const stage of stages) stage.destroy();
  });
});
