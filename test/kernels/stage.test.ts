// A stage that holds a whole model, against the float64 reference: loss, gradient, logits, optimizer.
import { describe, expect, test } from "vitest";
import { IGNORE } from "../../core/data/batch.ts";
import { parameterSpace } from "../../core/model/parameters.ts";
import { logits, lossAndGradient } from "../../core/model/reference/model.ts";
import { adamW, squaredNorm } from "../../core/model/reference/optimizer.ts";
import { chunkRows, stageBytes } from "../../core/plan/memory.ts";
import { Random } from "../../core/random.ts";
import { expectClose } from "../fixtures/arrays.ts";
import { randomParameters, smallModel } from "../fixtures/models.ts";
import { matrixShape } from "../../web/engine/subgroup-matrix.ts";
import { tuningFor } from "../../web/engine/tuning.ts";
import { gpu } from "./device.ts";
import { filledStage, microbatchOf, optimizer, specOf } from "./stages.ts";

/** Of the loss, and of gradients and logits by their largest value. */
const TOLERANCE = { relative: 1e-5 };

describe.each([
  { B: 1, model: smallModel() },
  { B: 2, model: smallModel({ tied: true, context: 7 }) },
  { B: 3, model: smallModel({ heads: 3, kvHeads: 1, width: 12, context: 3, tied: true }) },
  { B: 2, model: smallModel({ heads: 4, kvHeads: 4, width: 64, hidden: 100, context: 33, vocab: 100 }) },
])("B $B, $model", ({ B, model }) => {
  const T = model.context;
  const random = new Random(B);
  const parameters = randomParameters(model, random);
  const batches = [0, 1].map(() => microbatchOf(model, B, random));
  const expected = batches.map(({ inputs, targets }) =>
    lossAndGradient(model, parameters, inputs, targets, B, T),
  );
  const gradient = expected[0].gradient.map((value, i) => value + expected[1].gradient[i]);

  test("loss and gradient add up over microbatches, and again after zero", async () => {
    const stage = await filledStage(specOf(model, { microbatch: B }), parameters);
    const bits: Float32Array[] = [];
    for (let round = 0; round < 2; round++) {
      stage.zero();
      for (const { inputs, targets } of batches) {
        stage.setTokens(0, inputs, targets);
        stage.forward(0);
        stage.backward(0);
      }
      expectClose([await stage.lossSum()], [expected[0].lossSum + expected[1].lossSum], TOLERANCE);
      expectClose([(await stage.sums()).squaredNorm], [squaredNorm(gradient)], TOLERANCE);
      const actual = await stage.gradient();
      for (const { offset, size } of parameterSpace(model).tensors) {
        const range = [offset, offset + size] as const;
        expectClose(actual.subarray(...range), gradient.subarray(...range), TOLERANCE);
      }
      expectClose(actual, gradient, TOLERANCE);
      bits.push(actual);
    }
    expect(bits[1]).toEqual(bits[0]);
    stage.destroy();
  });

  test("evaluate gives the loss and the logits, and leaves the gradient", async () => {
    const stage = await filledStage(specOf(model, { microbatch: B }), parameters);
    const [{ inputs, targets }] = batches;
    stage.setTokens(0, inputs, targets);
    stage.evaluate(0);
    expectClose([await stage.lossSum()], [expected[0].lossSum], TOLERANCE);
    expect((await stage.gradient()).every((value) => value === 0)).toBe(true);
    const rows = logits(model, parameters, inputs, B, T);
    for (const row of [0, B * T - 1]) {
      const [start, end] = [row * model.vocab, (row + 1) * model.vocab];
      expectClose(await stage.logits(row), rows.subarray(start, end), TOLERANCE);
    }
    stage.resetLoss();
    expect(await stage.lossSum()).toBe(0);
    stage.destroy();
  });
});

test("with recompute the gradient has the same bits, and takes less memory", async () => {
  const model = smallModel({ layers: 3, width: 32, hidden: 48, context: 9 });
  const parameters = randomParameters(model, new Random(3));
  const { inputs, targets } = microbatchOf(model, 2, new Random(4));
  const gradients = [];
  for (const recompute of [false, true]) {
    const stage = await filledStage(specOf(model, { microbatch: 2, slots: 2, recompute }), parameters);
    stage.zero();
    // The other slot's forward comes between: what is made again must be this slot's.
    for (const slot of [1, 0]) {
      stage.setTokens(slot, inputs, targets);
      stage.forward(slot);
    }
    stage.setTokens(0, inputs, targets);
    stage.zero();
    stage.forward(0);
    stage.backward(0);
    gradients.push(await stage.gradient());
    stage.destroy();
  }
  expect(gradients[1]).toEqual(gradients[0]);
  const bytes = (recompute: boolean) =>
    stageBytes(specOf({ ...model, layers: 30, context: 512 }, { microbatch: 4, recompute }));
  expect(bytes(true)).toBeLessThan(bytes(false) / 2);
});

test("in f16: close to f32, and the masters stay f32; the same bits as f32 where the GPU lacks f16", async () => {
  const model = smallModel({ layers: 2, width: 32, hidden: 48, context: 9, tied: true });
  const parameters = randomParameters(model, new Random(3));
  const { inputs, targets } = microbatchOf(model, 2, new Random(4));
  const results = [];
  for (const precision of ["f32", "f16"] as const) {
    const stage = await filledStage(specOf(model, { microbatch: 2, precision }), parameters);
    const losses = [];
    for (let step = 1; step <= 3; step++) {
      stage.zero();
      stage.setTokens(0, inputs, targets);
      stage.forward(0);
      stage.backward(0);
      losses.push(await stage.lossSum());
      stage.apply({ step, scale: 1 / (2 * model.context), lr: 0.01 });
    }
    results.push({ losses, parameters: await stage.read("parameters") });
    stage.destroy();
  }
  const [single, half] = results;
  if (gpu.device.features.has("shader-f16")) {
    expect(half.losses).not.toEqual(single.losses);
    expectClose(half.losses, single.losses, { relative: 1e-3 });
    expectClose(half.parameters, single.parameters, { relative: 0.02 });
  } else {
    expect(half).toEqual(single);
  }
});

const matrix = matrixShape(gpu);

test.runIf(matrix !== null)(
  "products by subgroup matrices: losses and gradients close to f32 (where the GPU has them)",
  async () => {
    const model = smallModel({ layers: 2, width: 32, hidden: 48, context: 9, tied: true });
    const parameters = randomParameters(model, new Random(3));
    const { inputs, targets } = microbatchOf(model, 2, new Random(4));
    const lanes = gpu.info.subgroupMaxSize!;
    const tile = { matrix: matrix!, lanes, down: 1, across: 2, rows: 1, strips: 1 };
    const matrices = { ...tuningFor(gpu), matmul: () => ({ kind: "subgroup-matrix", ...tile }) as const };
    const results = [];
    for (const [precision, tuning] of [["f32"], ["f16", matrices]] as const) {
      const stage = await filledStage(specOf(model, { microbatch: 2, precision }), parameters, gpu, tuning);
      stage.zero();
      stage.setTokens(0, inputs, targets);
      stage.forward(0);
      stage.backward(0);
      results.push({ loss: await stage.lossSum(), gradient: await stage.gradient() });
      stage.destroy();
    }
    const [single, half] = results;
    expectClose([half.loss], [single.loss], { relative: 1e-3 });
    expectClose(half.gradient, single.gradient, { relative: 5e-3 });
  },
);

test("a vocabulary whose logits take more than one chunk of rows", async () => {
  const model = smallModel({ layers: 1, context: 67, vocab: 65_541, tied: true });
  expect(chunkRows(model, 67)).toBe(64);
  // No fewer, however large it is.
  expect(chunkRows({ ...model, vocab: 131_077 }, 67)).toBe(64);
  const random = new Random(6);
  const parameters = randomParameters(model, random);
  const { inputs, targets } = microbatchOf(model, 1, random);
  const expected = lossAndGradient(model, parameters, inputs, targets, 1, 67);
  const stage = await filledStage(specOf(model), parameters);
  stage.zero();
  stage.setTokens(0, inputs, targets);
  stage.forward(0);
  stage.backward(0);
  expectClose([await stage.lossSum()], [expected.lossSum], TOLERANCE);
  expectClose(await stage.gradient(), expected.gradient, TOLERANCE);
  stage.evaluate(0);
  const row = logits(model, parameters, inputs, 1, 67).subarray(66 * model.vocab);
  expectClose(await stage.logits(66), row, TOLERANCE);
  stage.destroy();
});

test.each([true, false])("five steps of AdamW follow the reference; tied: %s", async (tied) => {
  const model = smallModel({ tied });
  const { tensors } = parameterSpace(model);
  const T = model.context;
  const random = new Random(11);
  const parameters = randomParameters(model, random);
  const stage = await filledStage(specOf(model, { microbatch: 2 }), parameters);
  const moments = { first: new Float64Array(parameters.length), second: new Float64Array(parameters.length) };
  for (let step = 1; step <= 5; step++) {
    const { inputs, targets } = microbatchOf(model, 2, random);
    const { lossSum, tokens, gradient } = lossAndGradient(model, parameters, inputs, targets, 2, T);
    const lr = 0.02 / step;
    const scale = 0.5 / tokens;
    for (const { offset, size, decay } of tensors) {
      const part = (array: Float64Array) => array.subarray(offset, offset + size);
      const state = {
        parameters: part(parameters),
        first: part(moments.first),
        second: part(moments.second),
      };
      const weightDecay = decay ? optimizer.weightDecay : 0;
      const next = adamW(
        state,
        part(gradient).map((value) => value * scale),
        { ...optimizer, weightDecay, lr, step },
      );
      state.parameters.set(next.parameters);
      state.first.set(next.first);
      state.second.set(next.second);
    }
    stage.zero();
    stage.setTokens(0, inputs, targets);
    stage.forward(0);
    stage.backward(0);
    expectClose([await stage.lossSum()], [lossSum], TOLERANCE);
    stage.apply({ step, scale, lr });
  }
  // AdamW divides by the gradient's own size, so a small gradient's error shows at lr's scale.
  expectClose(await stage.read("parameters"), parameters, { relative: 1e-4 });
  expectClose(await stage.read("m"), moments.first, TOLERANCE);
  expectClose(await stage.read("v"), moments.second, TOLERANCE);
  stage.destroy();
});

describe("what is not finite is seen before the optimizer", () => {
  const model = smallModel();
  const { inputs, targets } = microbatchOf(model, 1, new Random(1));
  const { tensors } = parameterSpace(model);

  // The embedding's first row may be a token that does not occur: its own gradient cannot show it.
  const seen = tensors.filter(({ name }) => !name.includes("embed"));
  test.each(seen)("NaN in $name", async ({ offset }) => {
    const parameters = randomParameters(model, new Random(2));
    parameters[offset] = NaN;
    const stage = await filledStage(specOf(model), parameters);
    stage.setTokens(0, inputs, targets);
    stage.forward(0);
    stage.backward(0);
    expect(Number.isFinite(await stage.lossSum())).toBe(false);
    expect(Number.isFinite((await stage.sums()).squaredNorm)).toBe(false);
    stage.destroy();
  });

  test("a gradient that overflowed", async () => {
    const stage = await filledStage(specOf(model), randomParameters(model, new Random(2)));
    stage.setGradient(Float32Array.of(Infinity), 5);
    expect((await stage.sums()).squaredNorm).toBe(Infinity);
    stage.destroy();
  });
});

describe("misuse", () => {
  const model = smallModel();

  test("a token outside the vocabulary is refused, as input and as target; IGNORE is a target", async () => {
    const stage = await filledStage(specOf(model), randomParameters(model, new Random(1)));
    const { inputs, targets } = microbatchOf(model, 1, new Random(2));
    const foreign = inputs.slice();
    foreign[1] = model.vocab;
    expect(() => stage.setTokens(0, foreign, targets)).toThrow(RangeError);
    expect(() => stage.setTokens(0, inputs, foreign)).toThrow(/not below the vocabulary/);
    stage.setTokens(0, inputs, targets.slice().fill(IGNORE));
    stage.destroy();
  });

  test("a read is of what was there when it was asked for", async () => {
    const stage = await filledStage(specOf(model), randomParameters(model, new Random(1)));
    const { inputs, targets } = microbatchOf(model, 1, new Random(2));
    stage.zero();
    stage.setTokens(0, inputs, targets);
    stage.forward(0);
    const before = stage.lossSum();
    stage.zero();
    expect(await before).toBeGreaterThan(0);
    expect(await stage.lossSum()).toBe(0);
    stage.destroy();
  });
});
