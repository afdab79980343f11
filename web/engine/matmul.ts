// Matrix products as operations: every shader variant, with the epilogues that save a pass over the result.
// Not here: which variant a GPU takes (tuning.ts).
import type { Kernel, PartFile } from "./kernels.ts";
import type { Binding, Operation } from "./program.ts";

/** op(A)[M,K] op(B)[K,N]; what is padded, and to what: shaders/matmul-registers.wgsl. */
export interface Product {
  /** nt: A[M,K] B[N,K]^T; nn: A[M,K] B[K,N]; tn: A[K,M]^T B[K,N]. */
  readonly layout: "nt" | "nn" | "tn";
  readonly M: number;
  readonly N: number;
  readonly K: number;
}

/** How a product is computed: rows (a multiple of 4) and quads of columns (even) that an invocation makes. */
export type MatmulVariant =
  /** In registers alone; `shares`: four invocations share loads by subgroup operations. */
  | {
      readonly kind: "registers";
      readonly rows: number;
      readonly quads: number;
      readonly rowGroups: number;
      readonly shares: boolean;
    }
  /** Through workgroup memory, in workgroups of `side` x `side`; `splits` parts of K, each with a result of its own. */
  | {
      readonly kind: "tiled";
      readonly rows: number;
      readonly quads: number;
      readonly side: number;
      readonly splits?: number;
    };

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
  /** P is the gradient by act: sets the gradient by hidden[M,2F] (what `swiglu` called C), and act again. */
  | {
      readonly kind: "swiglu-backward";
      readonly dhidden: Binding;
      readonly act: Binding;
      readonly hidden: Binding;
    };

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
  const { rows: ROWS, quads: QUADS } = variant;
  const kernel: Kernel = {
    file: `matmul-${variant.kind}`,
    entry: "main",
    overrides: {
      TRANSPOSE_A: layout === "tn",
      TRANSPOSE_B: layout === "nt",
      ...(variant.kind === "tiled" ? { SPLITS: variant.splits ?? 1 } : {}),
    },
    consts:
      variant.kind === "tiled"
        ? { ROWS, QUADS, SIDE: variant.side }
        : { ROWS, QUADS, ROW_GROUPS: variant.rowGroups },
    parts: [
      "product",
      finish,
      ...(finish === "finish-swiglu" ? [] : (["by-quads"] as const)),
      ...(variant.kind === "tiled" ? [] : ([variant.shares ? "quad" : "alone"] as const)),
    ],
    halves: [...(a.halves ? ["StoredA"] : []), ...(b.halves ? ["StoredB"] : [])],
  };
  // A gate's quads and its values' are paired, in eights: both halves are rounded up to fours of quads.
  const paired = finish === "finish-swiglu" ? 8 * Math.ceil(columns / 8) : columns;
  const [rows, quads] =
    variant.kind === "tiled"
      ? [variant.side * ROWS, variant.side * QUADS]
      : [variant.rowGroups * ROWS, 4 * QUADS];
  return {
    name: `matmul ${layout}, ${epilogue.kind}`,
    kernel,
    bindings: { 0: a, 1: b, ...bindings },
    uniform: { binding: 5, values: [M, N, K, columns, Number(epilogue.kind === "accumulate")] },
    workgroups: [
      Math.ceil(paired / quads),
      Math.ceil(M / rows),
      variant.kind === "tiled" ? (variant.splits ?? 1) : 1,
    ],
  };
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
      return ["finish-swiglu-backward", { 2: epilogue.dhidden, 3: epilogue.act, 4: epilogue.hidden }];
  }
}
