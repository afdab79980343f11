// Error feedback: nothing is lost over time, what waits stays small, and what is broken stays so.
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Random } from "../../core/random.ts";
import { CODECS, type Codec } from "../../core/reduce/codec.ts";
import { encodeWithFeedback } from "../../core/reduce/error-feedback.ts";
import { decoded } from "../../core/reduce/transport.ts";
import { heavyTailed, normal } from "../fixtures/samples.ts";

const largestOf = (values: Float32Array) =>
  values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);

/** `rounds` times new values; the sums of what went in and of what was said, and how large the residual became. */
function talk(codec: Codec, size: number, rounds: number, draw: (random: Random) => number, seed: number) {
  const random = new Random(seed);
  const residual = new Float32Array(size);
  const wanted = new Float64Array(size);
  const said = new Float64Array(size);
  const residuals: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const values = Float32Array.from({ length: size }, () => draw(random));
    const arrived = decoded(encodeWithFeedback(codec, values, residual));
    for (let i = 0; i < size; i++) {
      wanted[i] += values[i]!;
      said[i] += arrived[i]!;
    }
    residuals.push(largestOf(residual));
  }
  return { residual, wanted, said, residuals };
}

describe.each(CODECS)("%s", (codec) => {
  test("what was said in all, and the residual, are what was wanted in all", () => {
    const draws = fc.constantFrom(normal, heavyTailed);
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 5000 }), draws, fc.nat(), (size, draw, seed) => {
        const { residual, wanted, said, residuals } = talk(codec, size, 12, draw, seed);
        // Sums in f32, a rounding each round.
        const allowed = 12 * 2 ** -23 * Math.max(...residuals, largestOf(Float32Array.from(wanted)), 10);
        const lost = wanted.findIndex((value, i) => Math.abs(value - said[i]! - residual[i]!) > allowed);
        expect(lost).toBe(-1);
      }),
      { numRuns: 20 },
    );
  });

  test("NaN is said, and is not forgotten", () => {
    const residual = new Float32Array(5000);
    const values = new Float32Array(5000).fill(1);
    values[4500] = NaN;
    expect(decoded(encodeWithFeedback(codec, values, residual))[4500]).toBeNaN();
    expect(residual[4500]).toBeNaN();
    expect(decoded(encodeWithFeedback(codec, new Float32Array(5000), residual))[4500]).toBeNaN();
    expect(Number.isFinite(residual[4000])).toBe(true);
  });
});

test("f32 leaves nothing out", () => {
  expect(talk("f32", 50, 3, normal, 3).residuals).toEqual([0, 0, 0]);
});

test("the residual of int4 is half a step of what is sent", () => {
  const { residuals } = talk("int4", 4096, 100, normal, 4);
  // Normal values, the largest of 4096 below 6, with at most 1 left of the last time: steps of 1 and a half of it.
  expect(Math.max(...residuals)).toBeLessThan(0.6);
});

test("the residual of topk stops growing", () => {
  const { residuals } = talk("topk", 4096, 600, normal, 5);
  // A value waits until it is among the largest 64: some hundred rounds' worth of a random walk.
  expect(Math.max(...residuals.slice(400))).toBeLessThan(1.3 * Math.max(...residuals.slice(200, 400)));
  expect(Math.max(...residuals)).toBeLessThan(100);
});

test("the residual of signs stops growing", () => {
  const { residuals } = talk("sign", 4096, 600, normal, 6);
  // A third of the energy is left each time, and more of what is already large.
  expect(Math.max(...residuals.slice(400))).toBeLessThan(1.3 * Math.max(...residuals.slice(200, 400)));
  expect(Math.max(...residuals)).toBeLessThan(20);
});
