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
import { inFours } from "../../core/plan/memory.ts";
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

const ROWS = ["alone", "workgroup"] as const;

/** Rows of V values, each followed by what fills it up to a multiple of 4. */
function padded(values: ArrayLike<number>, V: number, filling: number): Float64Array {
  const pitch = inFours(V);
  const out = new Float64Array((values.length / V) * pitch).fill(filling);
  for (let i = 0; i < values.length; i++) out[Math.floor(i / V) * pitch + (i % V)] = values[i];
  return out;
}

describe.each(
  ROWS.flatMap((row) => [
    { row, R: 1, V: 1 },
    { row, R: 7, V: 13 },
    { row, R: 67, V: 257 },
  ]),
)("cross-entropy, rows by $row, R $R, V $V", ({ row, R, V }) => {
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
      { logits: padded(logits, V, 99), targets, losses: before },
      ({ logits, targets, losses }) => [crossEntropy(row, { R, V }, false, logits, targets, losses)],
    );
    expectClose(results.losses, losses, TOLERANCE);
    expectClose(results.logits, padded(logits, V, 99), { relative: 0 });
  });

  test("loss and gradient", async () => {
    const results = await runOperations(
      { logits: padded(logits, V, 99), targets, losses: before },
      ({ logits, targets, losses }) => [crossEntropy(row, { R, V }, true, logits, targets, losses)],
    );
    expectClose(results.losses, losses, TOLERANCE);
    expectClose(results.logits, padded(expected.dLogits, V, 0), { ...TOLERANCE, absolute: 1e-6 });
    targets.forEach((target, r) => {
      const row = results.logits.subarray(r * inFours(V), (r + 1) * inFours(V));
      if (target === IGNORE) expect(row.every((value) => value === 0)).toBe(true);
    });
  });
});

test.each(ROWS)("cross-entropy takes large logits without overflow, rows by %s", async (row) => {
  const logits = Float64Array.of(1e4, 1e4, -1e4, 0, 300, 200, 100, 0);
  const arrays = { logits, targets: Uint32Array.of(1, 2), losses: new Float64Array(2) };
  const results = await runOperations(arrays, ({ logits, targets, losses }) => [
    crossEntropy(row, { R: 2, V: 3 }, true, logits, targets, losses),
  ]);
  expectClose(results.losses, [Math.LN2, 200], { relative: 1e-5 });
  expectClose(results.logits, [0.5, -0.5, 0, 0, 1, 0, -1, 0], { relative: 1e-3 });
});

test.each([NaN, Infinity])("a logit of %s makes its row's loss NaN or infinite", async (bad) => {
  const arrays = {
    logits: Float64Array.of(1, 2, 3, 0, 1, bad, 3, 0),
    targets: Uint32Array.of(0, 0),
    losses: new Float64Array(2),
  };
  const { losses } = await runOperations(arrays, ({ logits, targets, losses }) => [
    crossEntropy("alone", { R: 2, V: 3 }, true, logits, targets, losses),
  ]);
  expect([...losses].map(Number.isFinite)).toEqual([true, false]);
});
