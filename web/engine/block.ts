// One transformer block as operations on buffers: the forward.
// It keeps what the backward (block-backward.ts) cannot make again cheaply: inputs of the two norms, queries, keys and
// values, the attention's output and logsumexp, gate and up; the normed inputs and the MLP's activation are made again.
// Query, key and value are one product, and so are gate and up: their weights lie side by side.
import type { ModelConfig } from "../../core/model/config.ts";
import { headWidth } from "../../core/model/parameters.ts";
import { attention, type AttentionShape } from "./attention.ts";
import type { Epilogue } from "./matmul.ts";
import { multiply } from "./multiply.ts";
import { norm, rope, ropeToHalves } from "./operations.ts";
import type { Binding, Operation } from "./program.ts";
import type { Tuning } from "./tuning.ts";

/** Linear layers by the ends of their tensors' names. */
export const QKV = ["self_attn.q_proj", "self_attn.v_proj"] as const;
export const GATE_UP = ["mlp.gate_proj", "mlp.up_proj"] as const;

/** Gradients by the block's output, by the stream after attention, and by queries, keys and values; and the MLP's activation. */
export type KeptArray = "dOutput" | "dMiddle" | "dqkv" | "act";

/** Finds buffers: scratch by name, this block's saved activations by name, its tensors by the end of their names. */
export interface BlockBuffers {
  readonly scratch: (name: string) => Binding;
  readonly saved: (name: string) => Binding;
  /** What gradients of weights are made of: scratch, or this block's own where they are made later. */
  readonly kept: (name: KeptArray) => Binding;
  readonly gain: (name: string) => Binding;
  /** As products read them, from the first tensor named to the last. */
  readonly weight: (first: string, last?: string) => Binding;
  readonly gradient: (first: string, last?: string) => Binding;
  /** The residual stream after this block. */
  readonly output: Binding;
}

export function shapes(model: ModelConfig, microbatch: number) {
  const { width: C, hidden: F, heads: H, kvHeads: G, context: T, normEps: eps } = model;
  const R = microbatch * T;
  const D = headWidth(model);
  const W = C + 2 * G * D;
  const heads: AttentionShape = { R, T, H, G, D };
  return { R, C, F, W, eps, heads, rotation: { R, T, heads: H + G, D, pitch: W } };
}

/** x -> x + O(attention(norm x)) -> + Down(swiglu(norm)) */
export function blockForward(
  model: ModelConfig,
  microbatch: number,
  buffers: BlockBuffers,
  tuning: Tuning,
): Operation[] {
  const { R, C, F } = shapes(model, microbatch);
  const product = { layout: "nt", M: R, N: C, K: F } as const;
  const { scratch, saved, weight, output } = buffers;
  return [
    ...blockAgain(model, microbatch, buffers, tuning),
    ...multiply(tuning, product, scratch("act"), weight("mlp.down_proj"), {
      kind: "residual",
      c: output,
      residual: saved("middle"),
    }),
  ];
}

/** All of the forward that the backward reads: up to the MLP's activation. */
export function blockAgain(
  model: ModelConfig,
  microbatch: number,
  buffers: BlockBuffers,
  tuning: Tuning,
): Operation[] {
  const { scratch, saved, gain, weight } = buffers;
  const { R, C, F, W, eps, heads, rotation } = shapes(model, microbatch);
  const normed = scratch("normed");
  const qkv = saved("qkv");
  const projected = qkv.halves ? scratch("projected") : qkv;
  const linear = (x: Binding, w: Binding, N: number, K: number, epilogue: Epilogue) => {
    const product = { layout: "nt", M: R, N, K } as const;
    return multiply(tuning, product, x, w, epilogue);
  };
  return [
    norm(tuning.row(C), { R, C }, eps, saved("x"), gain("input_layernorm"), normed),
    ...linear(normed, weight(...QKV), W, C, { kind: "store", c: projected }),
    qkv.halves
      ? ropeToHalves(rotation, projected, scratch("turns"), qkv)
      : rope(rotation, projected, scratch("turns"), 1),
    attention(tuning.attention(heads.D), heads, {
      qkv,
      out: saved("out"),
      logsumexp: saved("logsumexp"),
    }),
    ...linear(saved("out"), weight("self_attn.o_proj"), C, C, {
      kind: "residual",
      c: saved("middle"),
      residual: saved("x"),
    }),
    norm(tuning.row(C), { R, C }, eps, saved("middle"), gain("post_attention_layernorm"), normed),
    ...linear(normed, weight(...GATE_UP), 2 * F, C, {
      kind: "swiglu",
      c: saved("hidden"),
      act: scratch("act"),
    }),
  ];
}
