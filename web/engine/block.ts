// One transformer block as operations on buffers: forward, and the hand-written backward.
// Forward keeps what backward cannot make again cheaply (inputs of the two norms, queries, keys and values, the
// attention's output and logsumexp, gate and up); the normed inputs and the activation of the MLP are made again.
// Query, key and value are one product, and so are gate and up: their weights lie side by side.
import type { ModelConfig } from "../../core/model/config.ts";
import { headWidth } from "../../core/model/parameters.ts";
import { attention, attentionBackward, type AttentionShape } from "./attention.ts";
import type { Epilogue } from "./matmul.ts";
import { multiply } from "./multiply.ts";
import { norm, normBackward, rope, ropeToHalves } from "./operations.ts";
import type { Binding, Operation } from "./program.ts";
import type { Tuning } from "./tuning.ts";

/** Linear layers by the ends of their tensors' names. */
const QKV = ["self_attn.q_proj", "self_attn.v_proj"] as const;
const GATE_UP = ["mlp.gate_proj", "mlp.up_proj"] as const;

/** Finds buffers: scratch by name, this block's saved activations by name, its tensors by the end of their names. */
export interface BlockBuffers {
  readonly scratch: (name: string) => Binding;
  readonly saved: (name: string) => Binding;
  readonly gain: (name: string) => Binding;
  /** As products read them, from the first tensor named to the last. */
  readonly weight: (first: string, last?: string) => Binding;
  readonly gradient: (first: string, last?: string) => Binding;
  /** The residual stream after this block. */
  readonly output: Binding;
}

function shapes(model: ModelConfig, microbatch: number) {
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

/** Turns the gradient in `stream` from the block's output's into its input's; adds to the parameters' gradients. */
export function blockBackward(
  model: ModelConfig,
  microbatch: number,
  buffers: BlockBuffers,
  tuning: Tuning,
): Operation[] {
  const { scratch, saved, gain, weight, gradient } = buffers;
  const { R, C, F, W, eps, heads, rotation } = shapes(model, microbatch);
  const stream = scratch("stream");
  const normed = scratch("normed");
  const dNormed = scratch("dNormed");
  const dhidden = scratch("dHidden");
  const dqkv = scratch("dqkv");
  // Free whenever a weight gradient is made: its last reader is done, its next writer comes after.
  const idle = { buffer: dNormed.buffer, offset: 0, size: R * C * 4 };
  const weightGradient = (dy: Binding, x: Binding, c: Binding, N: number, inputs: number) => {
    const product = { layout: "tn", M: N, N: inputs, K: R } as const;
    return multiply(tuning, product, dy, x, { kind: "accumulate", c }, idle);
  };
  const inputGradient = (dy: Binding, w: Binding, N: number, inputs: number, epilogue: Epilogue) => {
    const product = { layout: "nn", M: R, N: inputs, K: N } as const;
    return multiply(tuning, product, dy, w, epilogue);
  };
  const normGradient = (x: Binding, name: string) =>
    normBackward(
      tuning.row(C),
      { R, C },
      eps,
      { x, gain: gain(name), dy: dNormed, dx: stream, dgain: gradient(name), scales: scratch("scales") },
      true,
    );
  return [
    ...inputGradient(stream, weight("mlp.down_proj"), C, F, {
      kind: "swiglu-backward",
      dhidden,
      act: scratch("act"),
      hidden: saved("hidden"),
    }),
    ...weightGradient(stream, scratch("act"), gradient("mlp.down_proj"), C, F),
    norm(tuning.row(C), { R, C }, eps, saved("middle"), gain("post_attention_layernorm"), normed),
    ...weightGradient(dhidden, normed, gradient(...GATE_UP), 2 * F, C),
    ...inputGradient(dhidden, weight(...GATE_UP), 2 * F, C, { kind: "store", c: dNormed }),
    ...normGradient(saved("middle"), "post_attention_layernorm"),

    ...inputGradient(stream, weight("self_attn.o_proj"), C, C, { kind: "store", c: scratch("dOut") }),
    ...weightGradient(stream, saved("out"), gradient("self_attn.o_proj"), C, C),
    ...attentionBackward(tuning.attention(heads.D), heads, {
      qkv: saved("qkv"),
      out: saved("out"),
      logsumexp: saved("logsumexp"),
      dout: scratch("dOut"),
      delta: scratch("delta"),
      dqkv,
    }),
    rope(rotation, dqkv, scratch("turns"), -1),
    norm(tuning.row(C), { R, C }, eps, saved("x"), gain("input_layernorm"), normed),
    ...weightGradient(dqkv, normed, gradient(...QKV), W, C),
    ...inputGradient(dqkv, weight(...QKV), W, C, { kind: "store", c: dNormed }),
    ...normGradient(saved("x"), "input_layernorm"),
  ];
}
