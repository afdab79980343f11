// Matrix products as operations: every shader variant, with the epilogues that save a pass over the result.
// Not here: which variant a GPU takes (tuning.ts).
import type { Kernel, PartFile } from "./kernels.ts";
import type { Binding, Operation } from "./program.ts";
import type { MatrixShape } from "./subgroup-matrix.ts";

/** op(A)[M,K] op(B)[K,N]; what is padded, and to what: shaders/matmul-registers.wgsl. */
export interface Product {
  /** nt: A[M,K] B[N,K]^T; nn: A[M,K] B[K,N]; tn: A[K,M]^T B[K,N]. */
  readonly layout: "nt" | "nn" | "tn";
  readonly M: number;
  readonly N: number;
  readonly K: number;
}

/**
 * How a product is computed; `rows` (a multiple of 4) and `quads` of columns (even) are what an invocation makes,
 * `splits` parts of K, each with a result of its own.
 */
export type MatmulVariant =
  /** In registers alone; `shares`: four invocations share loads by subgroup operations. */
  | {
      readonly kind: "registers";
      readonly rows: number;
      readonly quads: number;
      readonly rowGroups: number;
      readonly shares: boolean;
    }
  /** Through workgroup memory, in workgroups of `side` x `side`. */
  | {
      readonly kind: "tiled";
      readonly rows: number;
      readonly quads: number;
      readonly side: number;
      readonly splits?: number;
    }
  | SubgroupMatrixVariant;

/**
 * By subgroup matrices of a shape that the GPU has: both operands are rounded to f16, whatever they are stored as.
 * Workgroups of `down` x `across` subgroups of up to `lanes` invocations, each of which makes `rows` matrices by
 * `strips` of 32 columns.
 */
export interface SubgroupMatrixVariant {
  readonly kind: "subgroup-matrix";
  readonly matrix: MatrixShape;
  readonly lanes: number;
  readonly down: number;
  readonly across: number;
  readonly rows: number;
  readonly strips: number;
  readonly splits?: number;
}

/** Variants that can split K. */
export type SplittingVariant = Exclude<MatmulVariant, { readonly kind: "registers" }>;

export const canSplit = (variant: MatmulVariant): variant is SplittingVariant => variant.kind !== "registers";

/** Columns of a strip, DEPTH of K and what rows are longer by: as in shaders/matmul-subgroup-matrix.wgsl. */
const [STRIP, DEPTH, PAD] = [32, 32, 8];

/** Bytes of workgroup memory that the variant takes. */
export function subgroupMatrixMemory({ matrix, down, across, rows, strips }: SubgroupMatrixVariant): number {
  const tile = (width: number) => 2 * Math.max(width * (DEPTH + PAD), DEPTH * (width + PAD));
  const results = 4 * down * across * matrix.M * (STRIP + PAD / 2);
  return tile(down * rows * matrix.M) + tile(across * strips * STRIP) + results;
}

/** What becomes of the product P. */
export type Epilogue =
  /** C = P */
  | { readonly kind: "store"; readonly c: Binding }
  /** C = C + P */
  | { readonly kind: "accumulate"; readonly c: Binding }
  /** C = residual + P */
  | { readonly kind: "residual"; readonly c: Binding; readonly residual: Binding }
  /** N = 2 F. C = P, a gate and its values side by side; act[M,F] = silu(gate) up */
  | { readonly kind: "swiglu"; readonly c: Binding; readonly act: Binding }
  /** P is the gradient by act: hidden[M,2F] (what `swiglu` called C) becomes its gradient; sets act again. */
  | { readonly kind: "swiglu-backward"; readonly hidden: Binding; readonly act: Binding };

/** Layouts' demands on shapes that are met by no padding. */
function checkShape({ layout, N, K }: Product): void {
  const inFours = layout === "nt" ? K : N;
  if (inFours % 4 !== 0)
    throw new Error(`an ${layout} product needs ${layout === "nt" ? "K" : "N"} in fours: ${inFours}`);
}

/** A and B may each be in f16; sums and what becomes of them are f32. */
export function matmul(
  variant: MatmulVariant,
  product: Product,
  a: Binding,
  b: Binding,
  epilogue: Epilogue,
): Operation {
  checkShape(product);
  const { layout, M, N, K } = product;
  const columns = Math.ceil(N / 4);
  const [finish, bindings] = bindEpilogue(epilogue);
  const kernel: Kernel = {
    file: `matmul-${variant.kind}`,
    entry: "main",
    overrides: {
      TRANSPOSE_A: layout === "tn",
      TRANSPOSE_B: layout === "nt",
      ...(canSplit(variant) ? { SPLITS: variant.splits ?? 1 } : {}),
    },
    consts: constsOf(variant),
    parts: [
      "product",
      finish,
      ...(finish === "finish-swiglu" ? [] : (["by-quads"] as const)),
      ...partsOf(variant),
    ],
    halves: [...(a.halves ? ["StoredA"] : []), ...(b.halves ? ["StoredB"] : [])],
  };
  // A gate's quads and its values' are paired, in eights: both halves are rounded up to fours of quads.
  const paired = finish === "finish-swiglu" ? 8 * Math.ceil(columns / 8) : columns;
  const [rows, quads] = tileOf(variant);
  return {
    name: `matmul ${layout}, ${epilogue.kind}`,
    kernel,
    bindings: { 0: a, 1: b, ...bindings },
    uniform: { binding: 5, values: [M, N, K, columns, Number(epilogue.kind === "accumulate")] },
    workgroups: [
      Math.ceil(paired / quads),
      Math.ceil(M / rows),
      canSplit(variant) ? (variant.splits ?? 1) : 1,
    ],
  };
}

/** Rows and quads of columns that a workgroup makes. */
function tileOf(variant: MatmulVariant): [number, number] {
  switch (variant.kind) {
    case "registers":
      return [variant.rowGroups * variant.rows, 4 * variant.quads];
    case "tiled":
      return [variant.side * variant.rows, variant.side * variant.quads];
    case "subgroup-matrix":
      return [variant.down * variant.rows * variant.matrix.M, (variant.across * variant.strips * STRIP) / 4];
  }
}

function constsOf(variant: MatmulVariant): Record<string, number> {
  switch (variant.kind) {
    case "registers":
      return { ROWS: variant.rows, QUADS: variant.quads, ROW_GROUPS: variant.rowGroups };
    case "tiled":
      return { ROWS: variant.rows, QUADS: variant.quads, SIDE: variant.side };
    case "subgroup-matrix": {
      const { matrix, lanes, down, across, rows, strips } = variant;
      const { M: SIZE_M, N: SIZE_N, K: SIZE_K } = matrix;
      const inStrip = STRIP / SIZE_N;
      const tile = { DOWN: down, ACROSS: across, ROWS: rows, COLUMNS: strips * inStrip, STRIP: inStrip };
      return { SIZE_M, SIZE_N, SIZE_K, LANES: lanes, ...tile };
    }
  }
}

function partsOf(variant: MatmulVariant): PartFile[] {
  switch (variant.kind) {
    case "registers":
      return [variant.shares ? "quad" : "alone"];
    case "tiled":
      return [];
    case "subgroup-matrix":
      return ["halves"];
  }
}

function bindEpilogue(epilogue: Epilogue): [PartFile, Record<number, Binding>] {
  switch (epilogue.kind) {
    case "store":
    case "accumulate":
      return ["finish-store", { 2: epilogue.c }];
    case "residual":
      return ["finish-residual", { 2: epilogue.c, 3: epilogue.residual }];
    case "swiglu":
      return ["finish-swiglu", { 2: epilogue.c, 3: epilogue.act }];
    case "swiglu-backward":
      return ["finish-swiglu-backward", { 2: epilogue.hidden, 3: epilogue.act }];
  }
}
