// The float64 reference's operations on rows: known values, and each backward against finite differences.
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { IGNORE } from "../../core/data/batch.ts";
import { crossEntropy } from "../../core/model/reference/cross-entropy.ts";
import { accumulate, add, scale } from "../../core/model/reference/elementwise.ts";
import { embedding, embeddingBackward } from "../../core/model/reference/embedding.ts";
import {
  linear,
  linearInputGradient,
  linearWeightGradient,
  matmul,
} from "../../core/model/reference/matmul.ts";
import { inverseRms, rmsNorm, rmsNormBackward } from "../../core/model/reference/norm.ts";
import { rope, ropeBackward } from "../../core/model/reference/rope.ts";
import { swiglu, swigluBackward } from "../../core/model/reference/swiglu.ts";
import { Random } from "../../core/random.ts";
import { dot, expectClose, numericGradient, uniform } from "../fixtures/arrays.ts";

/** Odd sizes: 1 and small primes, which no tile divides. */
const size = fc.constantFrom(1, 2, 3, 5, 7);
const random = fc.integer({ min: 0, max: 0xffffffff }).map((seed) => new Random(seed));
const runs = { numRuns: 25 };

/** Of a gradient, by its largest element: the error of a central difference is far below. */
const SLOPE = { relative: 1e-7, absolute: 1e-8 };
const EXACT = { relative: 1e-14 };

const array = (...values: number[]) => Float64Array.from(values);

function transpose(x: Float64Array, rows: number, columns: number): Float64Array {
  return Float64Array.from(x, (_, i) => x[(i % rows) * columns + Math.floor(i / rows)]);
}

describe("matmul", () => {
  test("multiplies a 2x3 by a 3x2 matrix", () => {
    const c = matmul(array(1, 2, 3, 4, 5, 6), array(7, 8, 9, 10, 11, 12), { M: 2, N: 2, K: 3 });
    expect([...c]).toEqual([58, 64, 139, 154]);
  });

  test("reads transposed operands as if they were stored plainly", () => {
    fc.assert(
      fc.property(
        size,
        size,
        size,
        fc.boolean(),
        fc.boolean(),
        random,
        (M, N, K, transposeA, transposeB, random) => {
          const a = uniform(random, M * K);
          const b = uniform(random, K * N);
          const storedA = transposeA ? transpose(a, M, K) : a;
          const storedB = transposeB ? transpose(b, K, N) : b;
          expect(matmul(storedA, storedB, { M, N, K, transposeA, transposeB })).toEqual(
            matmul(a, b, { M, N, K }),
          );
        },
      ),
      runs,
    );
  });

  test("a linear layer uses its weight as [outputs, inputs]", () => {
    expect([...linear(array(1, 10), array(1, 2, 3, 4, 5, 6), { M: 1, N: 3, K: 2 })]).toEqual([21, 43, 65]);
  });

  test("a linear layer's gradients are its slopes", () => {
    fc.assert(
      fc.property(size, size, size, random, (M, N, K, random) => {
        const shape = { M, N, K };
        const x = uniform(random, M * K);
        const weight = uniform(random, N * K);
        const dy = uniform(random, M * N);
        expectClose(
          linearInputGradient(dy, weight, shape),
          numericGradient(() => dot(dy, linear(x, weight, shape)), x),
          SLOPE,
        );
        expectClose(
          linearWeightGradient(dy, x, shape),
          numericGradient(() => dot(dy, linear(x, weight, shape)), weight),
          SLOPE,
        );
      }),
      runs,
    );
  });
});

describe("RMSNorm", () => {
  test("divides by the root mean square, eps inside the root, then applies the gain", () => {
    // Mean squares of [3, 4] and [0, 0]: 12.5 and 0; with eps 12.5 the roots are 5 and sqrt(12.5).
    const shape = { R: 2, C: 2, eps: 12.5 };
    const x = array(3, 4, 0, 0);
    expectClose(inverseRms(x, shape), [0.2, 1 / Math.sqrt(12.5)], EXACT);
    expectClose(rmsNorm(x, array(1, -10), shape), [0.6, -8, 0, 0], EXACT);
  });

  test("gradients are its slopes", () => {
    fc.assert(
      fc.property(size, size, random, (R, C, random) => {
        const shape = { R, C, eps: 0.1 };
        const x = uniform(random, R * C);
        const gain = uniform(random, C);
        const dy = uniform(random, R * C);
        const { dx, dGain } = rmsNormBackward(x, gain, dy, shape);
        expectClose(
          dx,
          numericGradient(() => dot(dy, rmsNorm(x, gain, shape)), x),
          SLOPE,
        );
        expectClose(
          dGain,
          numericGradient(() => dot(dy, rmsNorm(x, gain, shape)), gain),
          SLOPE,
        );
      }),
      runs,
    );
  });
});

describe("RoPE", () => {
  test("turns element i with element i + D/2, the first pair by the position, later ones slower", () => {
    const shape = { R: 4, T: 3, heads: 1, D: 4, theta: 10000 };
    const row = [1, 2, 3, 4];
    const y = rope(array(...row, ...row, ...row, ...row), shape);
    const turned = (t: number) => {
      const [a, b] = [t, t / 100]; // 10000^(-2/4) = 1/100
      return [
        Math.cos(a) - 3 * Math.sin(a),
        2 * Math.cos(b) - 4 * Math.sin(b),
        3 * Math.cos(a) + Math.sin(a),
        4 * Math.cos(b) + 2 * Math.sin(b),
      ];
    };
    // The fourth row begins the second sequence: position 0.
    expectClose(y, [...row, ...turned(1), ...turned(2), ...row], EXACT);
  });

  test("the product of a query and a key depends on their distance alone", () => {
    const shape = { R: 9, T: 9, heads: 1, D: 6, theta: 100 };
    const random = new Random(3);
    const everywhere = (row: Float64Array) => Float64Array.from({ length: 54 }, (_, i) => row[i % 6]);
    const q = rope(everywhere(uniform(random, 6)), shape);
    const k = rope(everywhere(uniform(random, 6)), shape);
    const product = (i: number, j: number) => dot(q.subarray(i * 6, i * 6 + 6), k.subarray(j * 6, j * 6 + 6));
    expectClose([product(8, 5)], [product(3, 0)], EXACT);
    expectClose([product(7, 7)], [product(1, 1)], EXACT);
    expect(Math.abs(product(8, 5) - product(8, 6))).toBeGreaterThan(1e-3);
  });

  test("gradients are its slopes", () => {
    fc.assert(
      fc.property(
        size,
        size,
        fc.constantFrom(1, 3),
        fc.constantFrom(2, 6),
        random,
        (B, T, heads, D, random) => {
          const shape = { R: B * T, T, heads, D, theta: 50 };
          const x = uniform(random, B * T * heads * D);
          const dy = uniform(random, x.length);
          expectClose(
            ropeBackward(dy, shape),
            numericGradient(() => dot(dy, rope(x, shape)), x),
            SLOPE,
          );
        },
      ),
      { numRuns: 10 },
    );
  });
});

describe("SwiGLU", () => {
  test("known values: silu(0) = 0, silu(ln 3) = 3/4 ln 3", () => {
    expectClose(swiglu(array(0, Math.log(3)), array(5, -2)), [0, -1.5 * Math.log(3)], EXACT);
  });

  test("stays finite for gates far from zero", () => {
    const gate = array(-800, 800);
    expectClose(swiglu(gate, array(1, 1)), [0, 800], EXACT);
    const { dGate, dUp } = swigluBackward(gate, array(1, 1), array(1, 1));
    expectClose(dGate, [0, 1], EXACT);
    expectClose(dUp, [0, 800], EXACT);
  });

  test("gradients are its slopes", () => {
    fc.assert(
      fc.property(size, random, (n, random) => {
        const gate = scale(uniform(random, n), 5);
        const up = uniform(random, n);
        const dy = uniform(random, n);
        const { dGate, dUp } = swigluBackward(gate, up, dy);
        expectClose(
          dGate,
          numericGradient(() => dot(dy, swiglu(gate, up)), gate),
          SLOPE,
        );
        expectClose(
          dUp,
          numericGradient(() => dot(dy, swiglu(gate, up)), up),
          SLOPE,
        );
      }),
      runs,
    );
  });
});

describe("embedding", () => {
  test("gathers rows, and adds the gradients of repeated tokens", () => {
    const tokens = Uint32Array.of(2, 0, 2);
    expect([...embedding(array(1, 2, 3, 4, 5, 6), tokens, { C: 2 })]).toEqual([5, 6, 1, 2, 5, 6]);
    const dTable = embeddingBackward(array(1, 2, 3, 4, 50, 60), tokens, { V: 3, C: 2 });
    expect([...dTable]).toEqual([3, 4, 0, 0, 51, 62]);
  });

  test("gradient is its slope", () => {
    fc.assert(
      fc.property(size, size, size, random, (R, V, C, random) => {
        const tokens = Uint32Array.from({ length: R }, () => random.below(V));
        const table = uniform(random, V * C);
        const dx = uniform(random, R * C);
        expectClose(
          embeddingBackward(dx, tokens, { V, C }),
          numericGradient(() => dot(dx, embedding(table, tokens, { C })), table),
          SLOPE,
        );
      }),
      runs,
    );
  });
});

describe("cross-entropy", () => {
  test("known values: equal logits cost ln V, and the sum is not averaged", () => {
    const { lossSum, count, dLogits } = crossEntropy(array(0, 0, 0, Math.log(2)), Uint32Array.of(0, 1), {
      R: 2,
      V: 2,
    });
    expectClose([lossSum], [Math.log(2) + Math.log(3 / 2)], EXACT);
    expect(count).toBe(2);
    expectClose(dLogits, [-1 / 2, 1 / 2, 1 / 3, -1 / 3], EXACT);
  });

  test("rows without a target add nothing, whatever their logits", () => {
    const one = crossEntropy(array(1, 2, 3), Uint32Array.of(1), { R: 1, V: 3 });
    const among = crossEntropy(
      array(NaN, Infinity, 9, 1, 2, 3, -Infinity, 0, 0),
      Uint32Array.of(IGNORE, 1, IGNORE),
      { R: 3, V: 3 },
    );
    expect(among.lossSum).toBe(one.lossSum);
    expect(among.count).toBe(1);
    expect([...among.dLogits]).toEqual([0, 0, 0, ...one.dLogits, 0, 0, 0]);
  });

  test("stays finite for logits far from zero", () => {
    const { lossSum, dLogits } = crossEntropy(array(2000, 0), Uint32Array.of(1), { R: 1, V: 2 });
    expect(lossSum).toBe(2000);
    expect([...dLogits]).toEqual([1, -1]);
  });

  test("gradient is its slope", () => {
    fc.assert(
      fc.property(size, size, random, (R, V, random) => {
        const targets = Uint32Array.from({ length: R }, () =>
          random.below(4) === 0 ? IGNORE : random.below(V),
        );
        const logits = scale(uniform(random, R * V), 3);
        const { dLogits } = crossEntropy(logits, targets, { R, V });
        expectClose(
          dLogits,
          numericGradient(() => crossEntropy(logits, targets, { R, V }).lossSum, logits),
          SLOPE,
        );
      }),
      runs,
    );
  });
});

test("elementwise: add and scale leave their inputs alone, accumulate writes to its first", () => {
  const a = array(1, 2);
  const b = array(10, 20);
  expect([...add(a, b)]).toEqual([11, 22]);
  expect([...scale(a, -3)]).toEqual([-3, -6]);
  expect([...a, ...b]).toEqual([1, 2, 10, 20]);
  accumulate(a, b);
  expect([...a, ...b]).toEqual([11, 22, 10, 20]);
});
