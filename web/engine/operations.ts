// Operations: which kernel, bindings and workgroups make up each mathematical operation on buffers.
// The one place that chooses between kernels for the same operation.
import type { Binding, Operation } from "./program.ts";
import type { Kernel } from "./kernels.ts";

const LANES = 64;
const TILE = 8;
/** Rows and columns of C that an invocation of shaders/matmul.wgsl makes. */
const MATMUL_TILE = 8;
const MAX_GROUPS = 65535;

const groups = (items: number, perGroup: number) => Math.ceil(items / perGroup);

/** Workgroups of 64 over `size` items; more than 65,535 of them are laid out in rows. */
function flat(size: number): [number, number] {
  const count = groups(size, LANES);
  const x = Math.min(count, MAX_GROUPS);
  return [x, groups(count, x)];
}

/** C = product; C += product; C = residual + product. */
export type Epilogue = "store" | "accumulate" | { readonly residual: Binding };

export interface Product {
  /** nt: A[M,K] B[N,K]^T; nn: A[M,K] B[K,N]; tn: A[K,M]^T B[K,N]. */
  readonly layout: "nt" | "nn" | "tn";
  readonly M: number;
  readonly N: number;
  readonly K: number;
}

export function matmul(
  { layout, M, N, K }: Product,
  a: Binding,
  b: Binding,
  c: Binding,
  epilogue: Epilogue = "store",
): Operation {
  const residual = typeof epilogue === "object" ? epilogue.residual : null;
  const common = { M, N, K, ACCUMULATE: epilogue === "accumulate", RESIDUAL: residual !== null };
  const inFours = { nt: [K], nn: [K, N], tn: [M, N] }[layout].every((n) => n % 4 === 0);
  const kernel: Kernel = inFours
    ? { file: "matmul", entry: layout, overrides: common }
    : {
        file: "matmul-any",
        entry: "any_shape",
        overrides: { ...common, TRANSPOSE_A: layout === "tn", TRANSPOSE_B: layout === "nt" },
      };
  const tile = inFours ? TILE * MATMUL_TILE : TILE;
  // Binding 3 is read only with a residual; without one it must still be bound to something.
  return {
    kernel,
    bindings: { 0: a, 1: b, 2: c, 3: residual ?? a },
    workgroups: [groups(N, tile), groups(M, tile)],
  };
}

export interface Rows {
  readonly R: number;
  readonly C: number;
}

export function norm({ R, C }: Rows, eps: number, x: Binding, gain: Binding, y: Binding): Operation {
  return {
    kernel: { file: "norm", entry: "forward", overrides: { R, C, EPS: eps } },
    bindings: { 0: x, 1: gain, 2: y },
    workgroups: [groups(R, LANES)],
  };
}

/** Sets dx, or adds to it; adds to dgain. `scales`: [R] of scratch. */
export function normBackward(
  { R, C }: Rows,
  eps: number,
  { x, gain, dy, dx, dgain, scales }: Record<"x" | "gain" | "dy" | "dx" | "dgain" | "scales", Binding>,
  accumulate: boolean,
): Operation[] {
  return [
    {
      kernel: { file: "norm", entry: "backward", overrides: { R, C, EPS: eps, ACCUMULATE: accumulate } },
      bindings: { 0: x, 1: gain, 3: dy, 4: dx, 5: scales },
      workgroups: [groups(R, LANES)],
    },
    {
      kernel: { file: "norm", entry: "gain_backward", overrides: { R, C } },
      bindings: { 0: x, 3: dy, 5: scales, 6: dgain },
      workgroups: [groups(C, LANES)],
    },
  ];
}

export interface Rotation {
  readonly R: number;
  readonly T: number;
  readonly heads: number;
  readonly D: number;
}

/** In place; `turns`: what core/model/rotations.ts makes; `direction` -1 is the backward. */
export function rope({ R, T, heads, D }: Rotation, x: Binding, turns: Binding, direction: 1 | -1): Operation {
  return {
    kernel: {
      file: "rope",
      entry: "rotate",
      overrides: { R, T, HEADS: heads, D, DIRECTION: direction },
    },
    bindings: { 0: x, 1: turns },
    workgroups: [groups((heads * D) / 2, LANES), R],
  };
}

export interface AttentionShape {
  readonly R: number;
  readonly T: number;
  readonly H: number;
  readonly G: number;
  /** A multiple of 4. */
  readonly D: number;
}

const attentionKernel = (entry: string, { R, T, H, G, D }: AttentionShape): Kernel => ({
  file: "attention",
  entry,
  overrides: { R, T, H, G },
  consts: { QUADS: D / 4 },
});

export function attention(
  shape: AttentionShape,
  { q, k, v, out, logsumexp }: Record<"q" | "k" | "v" | "out" | "logsumexp", Binding>,
): Operation {
  return {
    kernel: attentionKernel("forward", shape),
    bindings: { 0: q, 1: k, 2: v, 3: out, 4: logsumexp },
    workgroups: [groups(shape.R * shape.H, LANES)],
  };
}

/** `delta`: [R,H] of scratch. */
export function attentionBackward(
  shape: AttentionShape,
  buffers: Record<"q" | "k" | "v" | "out" | "logsumexp" | "dout" | "delta" | "dq" | "dk" | "dv", Binding>,
): Operation[] {
  const { q, k, v, out, logsumexp, dout, delta, dq, dk, dv } = buffers;
  return [
    {
      kernel: attentionKernel("query_backward", shape),
      bindings: { 0: q, 1: k, 2: v, 5: out, 6: logsumexp, 7: dout, 8: delta, 9: dq },
      workgroups: [groups(shape.R * shape.H, LANES)],
    },
    {
      kernel: attentionKernel("key_value_backward", shape),
      bindings: { 0: q, 1: k, 2: v, 6: logsumexp, 7: dout, 10: delta, 11: dk, 12: dv },
      workgroups: [groups(shape.R * shape.G, LANES)],
    },
  ];
}

export function swiglu(size: number, gate: Binding, up: Binding, y: Binding): Operation {
  return {
    kernel: { file: "swiglu", entry: "forward", overrides: { SIZE: size } },
    bindings: { 0: gate, 1: up, 2: y },
    workgroups: flat(size),
  };
}

/** Sets dgate and dup, and y as in the forward. */
export function swigluBackward(
  size: number,
  { gate, up, y, dy, dgate, dup }: Record<"gate" | "up" | "y" | "dy" | "dgate" | "dup", Binding>,
): Operation {
  return {
    kernel: { file: "swiglu", entry: "backward", overrides: { SIZE: size } },
    bindings: { 0: gate, 1: up, 2: y, 3: dy, 4: dgate, 5: dup },
    workgroups: flat(size),
  };
}

export function embedding({ R, C }: Rows, tokens: Binding, table: Binding, x: Binding): Operation {
  return {
    kernel: { file: "embedding", entry: "forward", overrides: { R, C } },
    bindings: { 0: tokens, 1: table, 2: x },
    workgroups: [groups(C, TILE), groups(R, TILE)],
  };
}

/** Adds to dtable. `segments`: what core/data/token-segments.ts lays out. */
export function embeddingBackward(
  { R, C }: Rows,
  segments: Binding,
  dx: Binding,
  dtable: Binding,
): Operation {
  return {
    kernel: { file: "embedding", entry: "backward", overrides: { R, C } },
    bindings: { 3: segments, 4: dx, 5: dtable },
    workgroups: [groups(C, TILE), groups(R, TILE)],
  };
}

/** Adds to losses[R]; with a gradient, the logits become it. */
export function crossEntropy(
  { R, V }: { readonly R: number; readonly V: number },
  gradient: boolean,
  logits: Binding,
  targets: Binding,
  losses: Binding,
): Operation {
  return {
    kernel: { file: "cross-entropy", entry: gradient ? "loss_and_gradient" : "loss", overrides: { R, V } },
    bindings: { 0: logits, 1: targets, 2: losses },
    workgroups: [groups(R, LANES)],
  };
}

/** y += x */
export function accumulate(size: number, x: Binding, y: Binding): Operation {
  return {
    kernel: { file: "elementwise", entry: "accumulate", overrides: { SIZE: size } },
    bindings: { 0: x, 1: y },
    workgroups: flat(size),
  };
}

export function adamw(
  size: number,
  buffers: Record<"gradient" | "update" | "decay" | "parameters" | "m" | "v", Binding>,
): Operation {
  const { gradient, update, decay, parameters, m, v } = buffers;
  return {
    kernel: { file: "adamw", entry: "adamw", overrides: { SIZE: size } },
    bindings: { 0: gradient, 1: update, 2: decay, 3: parameters, 4: m, 5: v },
    workgroups: flat(size),
  };
}

/** Sums of squares of PARTS stretches of the gradient, to be added up by whoever reads them. */
export const NORM_PARTS = 256;
export function squaredNorm(size: number, gradient: Binding, partials: Binding): Operation {
  return {
    kernel: { file: "adamw", entry: "squared_norm", overrides: { SIZE: size, PARTS: NORM_PARTS } },
    bindings: { 0: gradient, 6: partials },
    workgroups: [groups(NORM_PARTS, LANES)],
  };
}
