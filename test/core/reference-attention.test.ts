// The float64 reference's causal grouped-query attention: known values, and its backward against slopes.
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { attention, attentionBackward, attentionDelta } from "../../core/model/reference/attention.ts";
import type { AttentionShape } from "../../core/model/reference/attention.ts";
import { Random } from "../../core/random.ts";
import { dot, expectClose, numericGradient, uniform } from "../fixtures/arrays.ts";

/** Of a gradient, by its largest element: the error of a central difference is far below. */
const SLOPE = { relative: 1e-7, absolute: 1e-8 };
const EXACT = { relative: 1e-14 };

const array = (...values: number[]) => Float64Array.from(values);

function randomInputs(shape: AttentionShape, seed: number) {
  const { B, T, H, G, D } = shape;
  const random = new Random(seed);
  const draw = (heads: number) => uniform(random, B * T * heads * D);
  return { q: draw(H), k: draw(G), v: draw(G), dOutput: draw(H) };
}

/** B, T, D and the query heads a key and value head serves: ragged, 1 included. */
const shape = fc
  .record({
    B: fc.constantFrom(1, 2),
    T: fc.constantFrom(1, 2, 5),
    G: fc.constantFrom(1, 2, 3),
    share: fc.constantFrom(1, 3),
    D: fc.constantFrom(1, 2, 5),
  })
  .map(({ B, T, G, share, D }): AttentionShape => ({ B, T, H: G * share, G, D }));

describe("attention", () => {
  test("known values: scores scaled by 1/sqrt(D), a later key unseen", () => {
    // D = 4, so q.k / 2: the second query scores ln 3 on its own key and 0 on the first.
    const q = array(9, 9, 9, 9, 2 * Math.log(3), 0, 0, 0);
    const k = array(0, 1, 0, 0, 1, 0, 0, 0);
    const v = array(4, 0, 0, 8, 0, 4, 0, 16);
    const { output, logsumexp } = attention(q, k, v, { B: 1, T: 2, H: 1, G: 1, D: 4 });
    expectClose(output, [4, 0, 0, 8, 1, 3, 0, 14], EXACT);
    expectClose(logsumexp, [4.5, Math.log(4)], EXACT);
  });

  test("neighbouring query heads share a key and value head", () => {
    // One position: each head's output is the value it reads.
    const { output } = attention(array(1, 1, 1, 1), array(1, 1), array(10, 20), {
      B: 1,
      T: 1,
      H: 4,
      G: 2,
      D: 1,
    });
    expect([...output]).toEqual([10, 10, 20, 20]);
  });

  test("sequences of a batch do not see each other", () => {
    const shape = { B: 2, T: 3, H: 2, G: 1, D: 3 };
    const { q, k, v } = randomInputs(shape, 1);
    const both = attention(q, k, v, shape);
    const second = attention(q.subarray(18), k.subarray(9), v.subarray(9), { ...shape, B: 1 });
    expect(both.output.subarray(18)).toEqual(second.output);
    expect(both.logsumexp.subarray(6)).toEqual(second.logsumexp);
  });

  test("stays finite for scores far from zero", () => {
    const { output, logsumexp } = attention(array(0, 1000), array(-3, 2), array(1, 5), {
      B: 1,
      T: 2,
      H: 1,
      G: 1,
      D: 1,
    });
    expect([...output]).toEqual([1, 5]);
    expect([...logsumexp]).toEqual([0, 2000]);
  });

  test("gradients are its slopes", () => {
    fc.assert(
      fc.property(shape, fc.integer({ min: 0, max: 0xffffffff }), (shape, seed) => {
        const { q, k, v, dOutput } = randomInputs(shape, seed);
        const { output, logsumexp } = attention(q, k, v, shape);
        const { dq, dk, dv } = attentionBackward(q, k, v, output, logsumexp, dOutput, shape);
        expectClose(
          dq,
          numericGradient(() => dot(dOutput, attention(q, k, v, shape).output), q),
          SLOPE,
        );
        expectClose(
          dk,
          numericGradient(() => dot(dOutput, attention(q, k, v, shape).output), k),
          SLOPE,
        );
        expectClose(
          dv,
          numericGradient(() => dot(dOutput, attention(q, k, v, shape).output), v),
          SLOPE,
        );
      }),
      { numRuns: 25 },
    );
  });

  test("delta is the row sum of output and its gradient, a value a row and head", () => {
    const shape = { B: 1, T: 1, H: 2, G: 1, D: 2 };
    expect([...attentionDelta(array(1, 2, 3, 4), array(10, 20, 30, 40), shape)]).toEqual([50, 250]);
  });
});
