// Matrix products against the reference: every layout and epilogue, shapes that fill tiles and shapes that do not.
import { test } from "vitest";
import { matmul as reference } from "../../core/model/reference/matmul.ts";
import { Random } from "../../core/random.ts";
import { matmul, type Product } from "../../web/engine/operations.ts";
import { expectClose, uniformSingle } from "../fixtures/arrays.ts";
import { runOperations, unset } from "./run-operations.ts";

/** Sums of up to 200 products in f32, relative to the largest result. */
const TOLERANCE = { relative: 2e-6 };

const LAYOUTS = ["nt", "nn", "tn"] as const;
const SHAPES = [
  [1, 1, 1],
  [2, 3, 5],
  [4, 4, 4],
  [7, 13, 11],
  [64, 64, 64],
  // Multiples of 4 that no tile divides.
  [68, 36, 20],
  [12, 132, 100],
  [65, 72, 8],
  // Fast in some layouts, ragged in others.
  [33, 67, 48],
  [3, 200, 128],
  [100, 1, 200],
] as const;

const cases = LAYOUTS.flatMap((layout) => SHAPES.map(([M, N, K]): Product => ({ layout, M, N, K })));

test.each(cases)("$layout $M x $N x $K: store, accumulate, residual", async (product) => {
  const { layout, M, N, K } = product;
  const random = new Random(M * 10_000 + N * 100 + K);
  const a = uniformSingle(random, M * K);
  const b = uniformSingle(random, K * N);
  const before = uniformSingle(random, M * N);
  const expected = reference(a, b, { M, N, K, transposeA: layout === "tn", transposeB: layout === "nt" });
  const sum = expected.map((value, i) => value + before[i]);
  const arrays = { a, b, before, stored: unset(M * N), accumulated: before, added: unset(M * N) };
  const results = await runOperations(arrays, ({ a, b, before, stored, accumulated, added }) => [
    matmul(product, a, b, stored),
    matmul(product, a, b, accumulated, "accumulate"),
    matmul(product, a, b, added, { residual: before }),
  ]);
  expectClose(results.stored, expected, TOLERANCE);
  expectClose(results.accumulated, sum, TOLERANCE);
  expectClose(results.added, sum, TOLERANCE);
});
