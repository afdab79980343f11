import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { IGNORE, trainingBatch, windowBatch, windowCount } from "../../core/data/batch.ts";
import { sampleToken } from "../../core/data/sampling.ts";
import { learningRate } from "../../core/model/learning-rate.ts";
import { Random } from "../../core/random.ts";
import { tinyConfig } from "../fixtures/configs.ts";

describe("trainingBatch", () => {
  const train = Uint16Array.from({ length: 1000 }, (_, i) => i);

  test("targets are the tokens that follow, and the cut into microbatches does not change the batch", () => {
    const whole = trainingBatch(tinyConfig({ batch: 8, microbatch: 8 }), train, 3, 0);
    const T = tinyConfig().model.context;
    whole.inputs.forEach((token, i) => expect(whole.targets[i]).toBe(token + 1));
    const parts = [0, 1, 2, 3].map((m) =>
      trainingBatch(tinyConfig({ batch: 8, microbatch: 2 }), train, 3, m),
    );
    expect(parts.flatMap(({ inputs }) => [...inputs])).toEqual([...whole.inputs]);
    expect(whole.tokens).toBe(8 * T);
  });

  test("steps and seeds draw different windows, up to the last token", () => {
    const one = trainingBatch(tinyConfig(), train, 1, 0).inputs;
    expect(trainingBatch(tinyConfig(), train, 2, 0).inputs).not.toEqual(one);
    expect(trainingBatch(tinyConfig({ seed: 2 }), train, 1, 0).inputs).not.toEqual(one);
    const short = Uint8Array.from({ length: tinyConfig().model.context + 1 }, (_, i) => i);
    expect([...trainingBatch(tinyConfig(), short, 1, 0).targets]).toEqual(Array.from(short.subarray(1)));
  });
});

describe("windows", () => {
  test("every token but the first is a target exactly once", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 2, max: 200 }),
        fc.integer({ min: 1, max: 9 }),
        fc.integer({ min: 1, max: 4 }),
        (length, T, B) => {
          const tokens = Uint32Array.from({ length }, (_, i) => i);
          const seen: number[] = [];
          let count = 0;
          for (let first = 0; first < windowCount(length, T); first += B) {
            const batch = windowBatch(tokens, first, B, T);
            count += batch.tokens;
            batch.targets.forEach((target, i) => {
              if (target === IGNORE) return;
              expect(batch.inputs[i]).toBe(target - 1);
              seen.push(target);
            });
          }
          expect(seen).toEqual([...tokens.subarray(1)]);
          expect(count).toBe(length - 1);
        },
      ),
    );
  });
});

describe("sampleToken", () => {
  test("temperature 0 takes the likeliest, and a temperature draws in proportion", () => {
    const logits = Float32Array.of(0, Math.log(3), -100);
    expect(sampleToken(logits, 0, new Random(1))).toBe(1);
    const random = new Random(1);
    const draws = Array.from({ length: 4000 }, () => sampleToken(logits, 1, random));
    expect(draws.filter((token) => token === 1).length / 4000).toBeCloseTo(0.75, 1);
    expect(draws.includes(2)).toBe(false);
  });
});

describe("learningRate", () => {
  const { optimizer } = tinyConfig();

  test("rises over the warm-up, then falls to minLr at the last step", () => {
    expect(learningRate(optimizer, 1, 20)).toBeCloseTo(optimizer.lr / 5);
    expect(learningRate(optimizer, 5, 20)).toBeCloseTo(optimizer.lr);
    expect(learningRate(optimizer, 20, 20)).toBeCloseTo(optimizer.minLr);
    expect(learningRate({ ...optimizer, warmup: 0 }, 1, 1)).toBeCloseTo(optimizer.minLr);
  });
});
