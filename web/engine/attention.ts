// Attention as operations: forward and backward over queries, keys and values side by side.
// Not here: the projections (block.ts), which variant a GPU takes (tuning.ts).
import type { Precision } from "../../core/plan/memory.ts";
import type { Kernel } from "./kernels.ts";
import type { Binding, Operation } from "./program.ts";

export interface AttentionShape {
  readonly R: number;
  readonly T: number;
  readonly H: number;
  readonly G: number;
  /** A multiple of 4. */
  readonly D: number;
}

/**
 * Rows that an invocation holds, fours of invocations in a workgroup, and how they read the rows they are compared
 * with: each by itself, four together by subgroup operations, or all through workgroup memory.
 */
export interface AttentionVariant {
  readonly rows: number;
  readonly rowGroups: number;
  readonly share: "none" | "quad" | "workgroup";
}

/** Rows staged in workgroup memory at once, two of a head's width each: at D 128 in f32 they take all that WebGPU grants. */
const STAGE = 16;

/**
 * Bytes of workgroup memory that a variant takes. In f16 the backward by keys and values takes most: queries are
 * halves, the gradients beside them are not.
 */
export function attentionMemory(
  { share }: AttentionVariant,
  headWidth: number,
  precision: Precision,
): number {
  return share === "workgroup" ? STAGE * headWidth * (4 + (precision === "f16" ? 2 : 4)) : 0;
}

function attentionKernel(
  entry: string,
  { rows: ROWS, rowGroups: ROW_GROUPS, share }: AttentionVariant,
  { T, H, G, D }: AttentionShape,
  { halves }: Binding,
): Kernel {
  return {
    file: "attention",
    entry,
    overrides: { T, H, G },
    consts: { QUADS: D / 4, ROWS, ROW_GROUPS, STAGE: share === "workgroup" ? STAGE : 0 },
    parts: [share === "quad" ? "quad" : "alone"],
    halves: halves ? ["Stored"] : [],
  };
}

function workgroups(
  { rows, rowGroups }: AttentionVariant,
  { R, T }: AttentionShape,
  heads: number,
): [number] {
  return [Math.ceil(T / (4 * rows * rowGroups)) * (R / T) * heads];
}

/** Sets out[R,H*D] and logsumexp[R,H] from qkv[R,(H+2G)*D], which may be in f16. */
export function attention(
  variant: AttentionVariant,
  shape: AttentionShape,
  { qkv, out, logsumexp }: Record<"qkv" | "out" | "logsumexp", Binding>,
): Operation {
  return {
    kernel: attentionKernel("forward", variant, shape, qkv),
    bindings: { 0: qkv, 1: out, 2: logsumexp },
    workgroups: workgroups(variant, shape, shape.H),
  };
}

/** Sets dqkv; `delta`: [R,H] of scratch. */
export function attentionBackward(
  variant: AttentionVariant,
  shape: AttentionShape,
  buffers: Record<"qkv" | "out" | "logsumexp" | "dout" | "delta" | "dqkv", Binding>,
): Operation[] {
  const { qkv, out, logsumexp, dout, delta, dqkv } = buffers;
  return [
    {
      kernel: attentionKernel("query_backward", variant, shape, qkv),
      bindings: { 0: qkv, 3: out, 4: logsumexp, 5: dout, 6: delta, 7: dqkv },
      workgroups: workgroups(variant, shape, shape.H),
    },
    {
      kernel: attentionKernel("key_value_backward", variant, shape, qkv),
      bindings: { 0: qkv, 4: logsumexp, 5: dout, 7: dqkv, 8: delta },
      workgroups: workgroups(variant, shape, shape.G),
    },
  ];
}
