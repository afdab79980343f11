// AdamW and the squared norm, against the reference.
import { describe, expect, test } from "vitest";
import { adamW, squaredNorm as referenceNorm } from "../../core/model/reference/optimizer.ts";
import { Random } from "../../core/random.ts";
import { NORM_PARTS } from "../../core/plan/memory.ts";
import { adamw, squaredNorm } from "../../web/engine/operations.ts";
import { expectClose, uniformSingle } from "../fixtures/arrays.ts";
import { runOperations, unset } from "./run-operations.ts";

/** Elements that share a bit that says whether they decay, and those that share a word of such bits. */
const PER_BIT = 128;
const PER_WORD = 32 * PER_BIT;

describe.each([1, 64, 1009, 3 * PER_WORD + 5])("AdamW over %i parameters", (size) => {
  const random = new Random(size);
  const settings = { lr: 0.01, beta1: 0.9, beta2: 0.95, eps: 1e-8, step: 3 };
  const scale = 0.25;
  const weightDecay = 0.5;
  const decay = Uint32Array.from({ length: Math.ceil(size / PER_WORD) }, () => random.next());
  const state = {
    parameters: uniformSingle(random, size),
    first: uniformSingle(random, size, 0.1),
    second: uniformSingle(random, size, 0.1).map(Math.abs),
  };
  const gradient = uniformSingle(random, size, 4);
  const scaled = gradient.map((value) => value * scale);
  const decayed = adamW(state, scaled, { ...settings, weightDecay });
  const plain = adamW(state, scaled, { ...settings, weightDecay: 0 });

  test("parameters and moments; weights decay where their bit says so", async () => {
    const { lr, beta1, beta2, eps, step } = settings;
    const corrections = [1 / (1 - beta1 ** step), 1 / (1 - beta2 ** step)];
    const arrays = {
      gradient,
      update: Float64Array.of(scale, lr, beta1, beta2, eps, weightDecay, ...corrections),
      decay,
      parameters: state.parameters,
      m: state.first,
      v: state.second,
    };
    const results = await runOperations(arrays, (buffers) => [adamw(size, buffers)]);
    const expected = Float64Array.from(plain.parameters.keys(), (i) => {
      const bit = (decay[Math.floor(i / PER_WORD)] >>> (Math.floor(i / PER_BIT) % 32)) & 1;
      return bit ? decayed.parameters[i] : plain.parameters[i];
    });
    expectClose(results.parameters, expected, { relative: 1e-6 });
    expectClose(results.m, plain.first, { relative: 1e-6 });
    expectClose(results.v, plain.second, { relative: 1e-6 });
  });
});

describe.each([1, 255, 256, 257, 10_007])("squared norm of %i values", (size) => {
  const gradient = uniformSingle(new Random(size), size, 2);
  const partialsOf = async (gradient: Float64Array) => {
    const arrays = { gradient, partials: unset(NORM_PARTS) };
    const { partials } = await runOperations(arrays, ({ gradient, partials }) => [
      squaredNorm(size, gradient, partials),
    ]);
    return partials.reduce((sum, partial) => sum + partial, 0);
  };

  test("parts add up", async () => {
    expectClose([await partialsOf(gradient)], [referenceNorm(gradient)], { relative: 1e-6 });
  });

  test.each([NaN, Infinity])("%s anywhere is seen", async (bad) => {
    const spoilt = gradient.slice().fill(bad, size - 1);
    expect(Number.isFinite(await partialsOf(spoilt))).toBe(false);
  });
});
