// The float64 reference's whole model: its gradient against slopes in every tensor, and what must hold of logits.
import { describe, expect, test } from "vitest";
import { IGNORE } from "../../core/data/batch.ts";
import type { ModelConfig } from "../../core/model/config.ts";
import { initialTensor, parameterSpace } from "../../core/model/parameters.ts";
import { crossEntropy } from "../../core/model/reference/cross-entropy.ts";
import { logits, lossAndGradient } from "../../core/model/reference/model.ts";
import { Random } from "../../core/random.ts";
import { dot, expectClose, numericGradient, uniform } from "../fixtures/arrays.ts";
import { randomParameters, randomTokens, smallModel } from "../fixtures/models.ts";

const cases: [string, ModelConfig][] = [
  ["untied, grouped queries", smallModel({ heads: 4, kvHeads: 2 })],
  ["tied, one key-value head", smallModel({ heads: 3, kvHeads: 1, width: 12, tied: true, ropeTheta: 20 })],
  ["untied, one head, odd sizes", smallModel({ heads: 1, kvHeads: 1, width: 4, hidden: 4, normEps: 0.01 })],
];

describe.each(cases)("gradient of the loss: %s", (_, model) => {
  const [B, T] = [2, 3];
  const random = new Random(7);
  const parameters = randomParameters(model, random);
  const { inputs, targets } = randomTokens(model, B * T, random);
  targets[1] = IGNORE;
  const loss = () => lossAndGradient(model, parameters, inputs, targets, B, T).lossSum;
  const { gradient, tokens, lossSum } = lossAndGradient(model, parameters, inputs, targets, B, T);
  const { tensors } = parameterSpace(model);

  test("along random directions", () => {
    const base = parameters.slice();
    for (let i = 0; i < 8; i++) {
      const direction = uniform(random, parameters.length);
      const distance = Float64Array.of(0);
      const [slope] = numericGradient(() => {
        parameters.set(base.map((value, j) => value + distance[0] * direction[j]));
        return loss();
      }, distance);
      parameters.set(base);
      expectClose([dot(gradient, direction)], [slope], { relative: 1e-6, absolute: 1e-6 });
    }
  });

  test.each(tensors)("by each element of $name", ({ offset, size }) => {
    const numeric = numericGradient(loss, parameters.subarray(offset, offset + size));
    expect(Math.max(...numeric.map(Math.abs))).toBeGreaterThan(1e-4);
    expectClose(gradient.subarray(offset, offset + size), numeric, { relative: 1e-6, absolute: 1e-7 });
  });

  test("padding has none", () => {
    const padding = gradient.slice();
    for (const { offset, size } of tensors) padding.fill(0, offset, offset + size);
    expect(padding.every((value) => value === 0)).toBe(true);
  });

  test("the loss is the cross-entropy of the logits over rows with a target", () => {
    const rows = logits(model, parameters, inputs, B, T);
    expect(crossEntropy(rows, targets, { R: B * T, V: model.vocab }).lossSum).toBe(lossSum);
    expect(tokens).toBe(B * T - 1);
  });

  test("all targets ignored: no loss, no tokens, no gradient", () => {
    const none = new Uint32Array(B * T).fill(IGNORE);
    const result = lossAndGradient(model, parameters, inputs, none, B, T);
    expect(result).toMatchObject({ lossSum: 0, tokens: 0 });
    expect(result.gradient.every((value) => value === 0)).toBe(true);
  });
});

describe("what must hold of a language model", () => {
  const model = smallModel();
  const [V, T] = [model.vocab, model.context];
  const random = new Random(8);
  const parameters = randomParameters(model, random);

  test("a token changes the logits of its own position and later ones in its sequence, no others", () => {
    const { inputs } = randomTokens(model, 2 * T, random);
    const changed = inputs.slice();
    changed[T + 2] = (inputs[T + 2] + 1) % V;
    const before = logits(model, parameters, inputs, 2, T);
    const after = logits(model, parameters, changed, 2, T);
    const rows = Array.from(inputs.keys()).filter((row) =>
      before.subarray(row * V, (row + 1) * V).some((z, v) => z !== after[row * V + v]),
    );
    expect(rows).toEqual([T + 2, T + 3, T + 4]);
  });

  test("order matters: the same tokens in another order give other logits", () => {
    const [one, other] = [Uint32Array.of(1, 2, 3), Uint32Array.of(2, 1, 3)].map((inputs) =>
      logits(model, parameters, inputs, 1, 3).subarray(2 * V),
    );
    expect(one).not.toEqual(other);
  });

  test("losses and gradients of two sequences add up to those of both together", () => {
    const { inputs, targets } = randomTokens(model, 2 * T, random);
    const both = lossAndGradient(model, parameters, inputs, targets, 2, T);
    const [one, other] = [0, T].map((start) =>
      lossAndGradient(
        model,
        parameters,
        inputs.subarray(start, start + T),
        targets.subarray(start, start + T),
        1,
        T,
      ),
    );
    expect(both.lossSum).toBeCloseTo(one.lossSum + other.lossSum, 10);
    const sum = one.gradient.map((value, i) => value + other.gradient[i]);
    expectClose(both.gradient, sum, { relative: 1e-12 });
  });

  test("parameters of zero know nothing: every token costs ln V; fresh ones know about as little", () => {
    const { inputs, targets } = randomTokens(model, T, random);
    const costWith = (parameters: Float64Array) =>
      lossAndGradient(model, parameters, inputs, targets, 1, T).lossSum / T;
    const { tensors, size } = parameterSpace(model);
    const fresh = new Float64Array(size);
    expect(costWith(fresh)).toBeCloseTo(Math.log(V), 10);
    for (const tensor of tensors) fresh.set(initialTensor(model, tensor, 1), tensor.offset);
    expect(Math.abs(costWith(fresh) - Math.log(V))).toBeLessThan(0.2);
  });
});
