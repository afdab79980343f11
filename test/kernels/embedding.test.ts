// Embedding, forward and backward, and cross-entropy, against the reference.
import { describe, expect, test } from "vitest";
import { IGNORE } from "../../core/data/batch.ts";
import { tokenSegments } from "../../core/data/token-segments.ts";
import { crossEntropy as referenceLoss } from "../../core/model/reference/cross-entropy.ts";
import {
  embedding as reference,
  embeddingBackward as referenceBackward,
} from "../../core/model/reference/embedding.ts";
import { Random } from "../../core/random.ts";
import { crossEntropy, embedding, embeddingBackward } from "../../web/engine/operations.ts";
import { expectClose, uniformSingle } from "../fixtures/arrays.ts";
import { runOperations, unset } from "./run-operations.ts";

/** Sums of up to 257 terms. */
const TOLERANCE = { relative: 2e-6 };

describe.each([
  { R: 1, C: 1, V: 1 },
  { R: 5, C: 7, V: 3 },
  { R: 97, C: 13, V: 11 },
  { R: 64, C: 64, V: 257 },
])("embedding R $R, C $C, V $V", ({ R, C, V }) => {
  const random = new Random(R + C + V);
  const tokens = Uint32Array.from({ length: R }, () => random.below(V));

  test("forward", async () => {
    const table = uniformSingle(random, V * C);
    const arrays = { tokens, table, x: unset(R * C) };
    const { x } = await runOperations(arrays, ({ tokens, table, x }) => [
      embedding({ R, C }, tokens, table, x),
    ]);
    expectClose(x, reference(table, tokens, { C }), { relative: 0 });
  });

  test("backward adds to the table's gradient", async () => {
    const dx = uniformSingle(random, R * C);
    const before = uniformSingle(random, V * C);
    const arrays = { segments: tokenSegments(tokens), dx, dtable: before };
    const { dtable } = await runOperations(arrays, ({ segments, dx, dtable }) => [
      embeddingBackward({ R, C }, segments, dx, dtable),
    ]);
    const expected = referenceBackward(dx, tokens, { V, C });
    expectClose(
      dtable,
      expected.map((value, i) => value + before[i]),
      TOLERANCE,
    );
  });
});

describe.each([
  { R: 1, V: 1 },
  { R: 7, V: 13 },
  { R: 67, V: 257 },
])("cross-entropy R $R, V $V", ({ R, V }) => {
  const random = new Random(R + V);
  const logits = uniformSingle(random, R * V, 8);
  const targets = Uint32Array.from({ length: R }, () => (random.unit() < 0.25 ? IGNORE : random.below(V)));
  const before = uniformSingle(random, R);
  const expected = referenceLoss(logits, targets, { R, V });
  const losses = Float64Array.from(targets, (target, r) => {
    const row = { R: 1, V };
    return (
      before[r] + referenceLoss(logits.subarray(r * V, (r + 1) * V), Uint32Array.of(target), row).lossSum
    );
  });

  test("loss alone leaves the logits", async () => {
    const results = await runOperations(
      { logits, targets, losses: before },
      ({ logits, targets, losses }) => [crossEntropy({ R, V }, false, logits, targets, losses)],
    );
    expectClose(results.losses, losses, TOLERANCE);
    expectClose(results.logits, logits, { relative: 0 });
  });

  test("loss and gradient", async () => {
    const results = await runOperations(
      { logits, targets, losses: before },
      ({ logits, targets, losses }) => [crossEntropy({ R, V }, true, logits, targets, losses)],
    );
    expectClose(results.losses, losses, TOLERANCE);
    expectClose(results.logits, expected.dLogits, { ...TOLERANCE, absolute: 1e-6 });
    targets.forEach((target, r) => {
      const row = results.logits.subarray(r * V, (r + 1) * V);
      if (target === IGNORE) expect(row.every((value) => value === 0)).toBe(true);
    });
  });
});

test("cross-entropy takes large logits without overflow", async () => {
  const logits = Float64Array.of(1e4, 1e4, -1e4, 300, 200, 100);
  const arrays = { logits, targets: Uint32Array.of(1, 2), losses: new Float64Array(2) };
  const results = await runOperations(arrays, ({ logits, targets, losses }) => [
    crossEntropy({ R: 2, V: 3 }, true, logits, targets, losses),
  ]);
  expectClose(results.losses, [Math.LN2, 200], { relative: 1e-5 });
  expectClose(results.logits, [0.5, -0.5, 0, 1, 0, -1], { relative: 1e-3 });
});

test.each([NaN, Infinity])("a logit of %s makes its row's loss NaN or infinite", async (bad) => {
  const arrays = {
    logits: Float64Array.of(1, 2, 3, 1, bad, 3),
    targets: Uint32Array.of(0, 0),
    losses: new Float64Array(2),
  };
  const { losses } = await runOperations(arrays, ({ logits, targets, losses }) => [
    crossEntropy({ R: 2, V: 3 }, true, logits, targets, losses),
  ]);
  expect([...losses].map(Number.isFinite)).toEqual([true, false]);
});
