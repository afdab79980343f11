// Matrix products against the reference: every variant, layout and epilogue; shapes that fill tiles and shapes
// that do not.
import { describe, expect, test } from "vitest";
import { matmul as reference } from "../../core/model/reference/matmul.ts";
import { swiglu, swigluBackward } from "../../core/model/reference/swiglu.ts";
import { Random } from "../../core/random.ts";
import { matmul, type MatmulVariant, type Product } from "../../web/engine/matmul.ts";
import { copy } from "../../web/engine/operations.ts";
import { matrixShape } from "../../web/engine/subgroup-matrix.ts";
import { expectClose, packHalves, uniformHalf, uniformSingle } from "../fixtures/arrays.ts";
import { gpu } from "./device.ts";
import { runOperations, unset } from "./run-operations.ts";

/** Sums of up to 200 products in f32, relative to the largest result. */
const TOLERANCE = { relative: 2e-6 };

const hasSubgroups = gpu.device.features.has("subgroups");
const matrix = matrixShape(gpu);
const matrices = { kind: "subgroup-matrix", matrix: matrix ?? { M: 8, N: 8, K: 8 } } as const;
const lanes = gpu.info.subgroupMaxSize ?? 32;
const registers = { kind: "registers", rows: 8, quads: 2, rowGroups: 16, shares: false } as const;
const VARIANTS: (readonly [string, MatmulVariant])[] = [
  ["registers 4 x 16", { ...registers, rows: 4, quads: 4 }],
  ["registers 8 x 8", registers],
  ["shared in quads 16 x 8", { ...registers, rows: 16, rowGroups: 4, shares: true }],
  ["shared in quads 32 x 8", { ...registers, rows: 32, rowGroups: 2, shares: true }],
  ["tiled 8 x 8", { kind: "tiled", rows: 8, quads: 2, side: 8 }],
  ["tiled 4 x 8, 256 invocations", { kind: "tiled", rows: 4, quads: 2, side: 16 }],
  [
    "subgroup matrices, two subgroups (where the GPU has them)",
    { ...matrices, lanes, down: 1, across: 2, rows: 1, strips: 1 },
  ],
  [
    "subgroup matrices, four subgroups (where the GPU has them)",
    { ...matrices, lanes, down: 2, across: 2, rows: 32 / matrices.matrix.M, strips: 2 },
  ],
];

function runsHere(variant: MatmulVariant): boolean {
  if (variant.kind === "subgroup-matrix") return matrix !== null;
  return variant.kind === "tiled" || !variant.shares || hasSubgroups;
}

/** What both a variant and the reference start from: subgroup matrices round operands to f16. */
const operandsOf = ({ kind }: MatmulVariant) => (kind === "subgroup-matrix" ? uniformHalf : uniformSingle);

/** M, N, K; N or K are rounded up to what the layout demands. */
const SHAPES = [
  [1, 4, 4],
  [7, 13, 11],
  [65, 72, 8],
  [33, 67, 128],
  [130, 132, 33],
] as const;

const inFours = (n: number) => Math.ceil(n / 4) * 4;

/** A matrix of `rows` rows, padded with zeros to a multiple of 4 columns. */
function padded(values: Float64Array, rows: number): Float64Array {
  const columns = values.length / rows;
  const out = new Float64Array(rows * inFours(columns));
  for (let row = 0; row < rows; row++) {
    out.set(values.subarray(row * columns, (row + 1) * columns), row * inFours(columns));
  }
  return out;
}

/** The reverse of `padded`. */
function trimmed(values: ArrayLike<number>, rows: number, columns: number): number[] {
  const pitch = values.length / rows;
  return Array.from(values).filter((_, i) => i % pitch < columns);
}

describe.each(VARIANTS)("%s", (_, variant) => {
  const runs = runsHere(variant);
  const operands = operandsOf(variant);
  describe.runIf(runs).each(["nt", "nn", "tn"] as const)("%s", (layout) => {
    // Only forward products are added to a stream: where stages use no epilogue, none is compiled.
    const adds = layout === "nt";
    const epilogues = `store, accumulate${adds ? ", residual" : ""}`;
    test.each(SHAPES)(`%d x %d x %d: ${epilogues}`, async (M, anyN, anyK) => {
      const N = layout === "nt" ? anyN : inFours(anyN);
      const K = layout === "nt" ? inFours(anyK) : anyK;
      const product: Product = { layout, M, N, K };
      const random = new Random(M * 10_000 + N * 100 + K);
      const a = operands(random, M * K);
      const b = operands(random, K * N);
      const before = uniformSingle(random, M * N);
      const expected = reference(a, b, { M, N, K, transposeA: layout === "tn", transposeB: layout === "nt" });
      const sum = expected.map((value, i) => value + before[i]);
      const arrays = {
        a: padded(a, layout === "tn" ? K : M),
        b: padded(b, layout === "nt" ? N : K),
        before: padded(before, M),
        stored: unset(M * inFours(N)),
        accumulated: padded(before, M),
        added: unset(M * inFours(N)),
      };
      const results = await runOperations(arrays, ({ a, b, before, stored, accumulated, added }) => [
        matmul(variant, product, a, b, { kind: "store", c: stored }),
        matmul(variant, product, a, b, { kind: "accumulate", c: accumulated }),
        ...(adds ? [matmul(variant, product, a, b, { kind: "residual", c: added, residual: before })] : []),
      ]);
      expectClose(trimmed(results.stored, M, N), expected, TOLERANCE);
      expectClose(trimmed(results.accumulated, M, N), sum, TOLERANCE);
      if (adds) expectClose(trimmed(results.added, M, N), sum, TOLERANCE);
    });
  });

  test.runIf(runs).each([
    [5, 4, 8],
    [67, 100, 24],
    [64, 128, 64],
  ])("SwiGLU of %d rows, %d hidden, %d wide: forward and backward", async (M, F, C) => {
    const random = new Random(M + F + C);
    const x = operands(random, M * C);
    const w = operands(random, 2 * F * C);
    const dy = operands(random, M * C);
    const down = operands(random, C * F);
    const product = (a: Float64Array, b: Float64Array, N: number, K: number, transposeB: boolean) =>
      reference(a, b, { M, N, K, transposeA: false, transposeB });
    const gate = product(x, w.subarray(0, F * C), F, C, true);
    const up = product(x, w.subarray(F * C), F, C, true);
    const dAct = product(dy, down, F, C, false);
    const { dGate, dUp } = swigluBackward(gate, up, dAct);
    const sideBySide = (left: ArrayLike<number>, right: ArrayLike<number>) =>
      Float64Array.from({ length: 2 * M * F }, (_, i) => {
        const row = Math.floor(i / (2 * F));
        const column = i % (2 * F);
        return column < F ? left[row * F + column]! : right[row * F + column - F]!;
      });
    const arrays = {
      x,
      w,
      dy,
      down,
      hidden: unset(2 * M * F),
      act: unset(M * F),
      again: unset(M * F),
      becomes: unset(2 * M * F),
    };
    const results = await runOperations(arrays, ({ x, w, dy, down, hidden, act, again, becomes }) => [
      matmul(variant, { layout: "nt", M, N: 2 * F, K: C }, x, w, { kind: "swiglu", c: hidden, act }),
      copy(2 * M * F, hidden, becomes),
      matmul(variant, { layout: "nn", M, N: F, K: C }, dy, down, {
        kind: "swiglu-backward",
        hidden: becomes,
        act: again,
      }),
    ]);
    expectClose(results.hidden, sideBySide(gate, up), TOLERANCE);
    expectClose(results.act, swiglu(gate, up), { relative: 5e-6 });
    expectClose(results.again, swiglu(gate, up), { relative: 5e-6 });
    expectClose(results.becomes, sideBySide(dGate, dUp), { relative: 5e-6 });
  });
});

describe.each(VARIANTS)("%s, one operand or both in f16 (where the GPU has shader-f16)", (_, variant) => {
  const runs = gpu.device.features.has("shader-f16") && runsHere(variant);
  test.runIf(runs).each(["nt", "nn"] as const)("%s: what is computed is what is stored", async (layout) => {
    const [M, N, K] = [33, 68, 44];
    const product: Product = { layout, M, N, K };
    const random = new Random(5);
    const a = uniformHalf(random, M * K);
    const b = uniformHalf(random, K * N);
    const expected = reference(a, b, { M, N, K, transposeB: layout === "nt" });
    const arrays = { a, halfA: packHalves(a), halfB: packHalves(b), mixed: unset(M * N), both: unset(M * N) };
    const results = await runOperations(arrays, ({ a, halfA, halfB, mixed, both }) => {
      const b = { ...halfB, halves: true };
      return [
        matmul(variant, product, a, b, { kind: "store", c: mixed }),
        matmul(variant, product, { ...halfA, halves: true }, b, { kind: "store", c: both }),
      ];
    });
    expectClose(results.mixed, expected, TOLERANCE);
    expectClose(results.both, expected, TOLERANCE);
  });
});

test("SwiGLU saturates without overflow", async () => {
  const gate = [-1000, -90, 90, 1000];
  const ones = [1, 1, 1, 1];
  // Products with the identity, whose results are the other factor.
  const identity = Float64Array.from({ length: 16 }, (_, i) => Number(i % 5 === 0));
  const arrays = {
    one: Float64Array.of(1, 0, 0, 0),
    w: Float64Array.from([...gate, ...ones].flatMap((value) => [value, 0, 0, 0])),
    dy: Float64Array.from(ones),
    identity,
    hidden: unset(8),
    act: unset(4),
    again: unset(4),
  };
  const results = await runOperations(arrays, ({ one, w, dy, identity, hidden, act, again }) => [
    matmul(registers, { layout: "nt", M: 1, N: 8, K: 4 }, one, w, { kind: "swiglu", c: hidden, act }),
    matmul(registers, { layout: "nn", M: 1, N: 4, K: 4 }, dy, identity, {
      kind: "swiglu-backward",
      hidden,
      act: again,
    }),
  ]);
  expectClose(results.act, [0, 0, 90, 1000], { relative: 1e-6 });
  expectClose(results.again, [0, 0, 90, 1000], { relative: 1e-6 });
  expectClose(results.hidden, [0, 0, 1, 1, 0, 0, 90, 1000], { relative: 1e-6 });
});

test("a shape that no padding mends is refused", () => {
  const nothing = { buffer: {} as GPUBuffer };
  const product: Product = { layout: "nn", M: 4, N: 6, K: 4 };
  expect(() => matmul(registers, product, nothing, nothing, { kind: "store", c: nothing })).toThrow(
    "an nn product needs N in fours: 6",
  );
});
