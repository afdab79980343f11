// One transformer block as operations on buffers: forward, and the hand-written backward.
// Forward keeps what backward cannot make again cheaply (inputs of the two norms, q, k, v, the attention's output
// and logsumexp, gate and up); the normed inputs and the activation of the MLP are made again.
import type { ModelConfig } from "../../core/model/config.ts";
import { headWidth } from "../../core/model/parameters.ts";
import {
  attention,
  attentionBackward,
  matmul,
  norm,
  normBackward,
  rope,
  swiglu,
  swigluBackward,
  type AttentionShape,
} from "./operations.ts";
import type { Binding, Operation } from "./program.ts";

/** Finds buffers: scratch by name, this block's saved activations by name, its tensors by the end of their names. */
export interface BlockBuffers {
  readonly scratch: (name: string) => Binding;
  readonly saved: (name: string) => Binding;
  readonly weight: (name: string) => Binding;
  readonly gradient: (name: string) => Binding;
  /** The residual stream after this block. */
  readonly output: Binding;
}

function shapes(model: ModelConfig, microbatch: number) {
  const { width: C, hidden: F, heads: H, kvHeads: G, context: T, normEps: eps } = model;
  const R = microbatch * T;
  const D = headWidth(model);
  const heads: AttentionShape = { R, T, H, G, D };
  return { R, C, F, K: G * D, H, G, eps, heads, rotation: { R, T, D } };
}

/** x -> x + O(attention(norm x)) -> + Down(swiglu(norm)) */
export function blockForward(model: ModelConfig, microbatch: number, buffers: BlockBuffers): Operation[] {
  const { scratch, saved, weight, output } = buffers;
  const { R, C, F, K, H, G, eps, heads, rotation } = shapes(model, microbatch);
  const normed = scratch("normed");
  const linear = (x: Binding, name: string, N: number, inputs: number, y: Binding, residual?: Binding) =>
    matmul({ layout: "nt", M: R, N, K: inputs }, x, weight(name), y, residual ? { residual } : "store");
  return [
    norm({ R, C }, eps, saved("x"), weight("input_layernorm"), normed),
    linear(normed, "self_attn.q_proj", C, C, saved("q")),
    linear(normed, "self_attn.k_proj", K, C, saved("k")),
    linear(normed, "self_attn.v_proj", K, C, saved("v")),
    rope({ ...rotation, heads: H }, saved("q"), scratch("turns"), 1),
    rope({ ...rotation, heads: G }, saved("k"), scratch("turns"), 1),
    attention(heads, {
      q: saved("q"),
      k: saved("k"),
      v: saved("v"),
      out: saved("out"),
      logsumexp: saved("logsumexp"),
    }),
    linear(saved("out"), "self_attn.o_proj", C, C, saved("middle"), saved("x")),
    norm({ R, C }, eps, saved("middle"), weight("post_attention_layernorm"), normed),
    linear(normed, "mlp.gate_proj", F, C, saved("gate")),
    linear(normed, "mlp.up_proj", F, C, saved("up")),
    swiglu(R * F, saved("gate"), saved("up"), scratch("act")),
    linear(scratch("act"), "mlp.down_proj", C, F, output, saved("middle")),
  ];
}

/** Turns the gradient in `stream` from the block's output's into its input's; adds to the parameters' gradients. */
export function blockBackward(model: ModelConfig, microbatch: number, buffers: BlockBuffers): Operation[] {
  const { scratch, saved, weight, gradient } = buffers;
  const { R, C, F, K, H, G, eps, heads, rotation } = shapes(model, microbatch);
  const stream = scratch("stream");
  const normed = scratch("normed");
  const dNormed = scratch("dNormed");
  const weightGradient = (dy: Binding, x: Binding, name: string, N: number, inputs: number) =>
    matmul({ layout: "tn", M: N, N: inputs, K: R }, dy, x, gradient(name), "accumulate");
  const inputGradient = (dy: Binding, name: string, N: number, inputs: number, dx: Binding, add = false) =>
    matmul({ layout: "nn", M: R, N: inputs, K: N }, dy, weight(name), dx, add ? "accumulate" : "store");
  const normGradient = (x: Binding, name: string) =>
    normBackward(
      { R, C },
      eps,
      { x, gain: weight(name), dy: dNormed, dx: stream, dgain: gradient(name), scales: scratch("scales") },
      true,
    );
  return [
    inputGradient(stream, "mlp.down_proj", C, F, scratch("dAct")),
    swigluBackward(R * F, {
      gate: saved("gate"),
      up: saved("up"),
      y: scratch("act"),
      dy: scratch("dAct"),
      dgate: scratch("dGate"),
      dup: scratch("dUp"),
    }),
    weightGradient(stream, scratch("act"), "mlp.down_proj", C, F),
    norm({ R, C }, eps, saved("middle"), weight("post_attention_layernorm"), normed),
    weightGradient(scratch("dGate"), normed, "mlp.gate_proj", F, C),
    weightGradient(scratch("dUp"), normed, "mlp.up_proj", F, C),
    inputGradient(scratch("dGate"), "mlp.gate_proj", F, C, dNormed),
    inputGradient(scratch("dUp"), "mlp.up_proj", F, C, dNormed, true),
    ...normGradient(saved("middle"), "post_attention_layernorm"),

    inputGradient(stream, "self_attn.o_proj", C, C, scratch("dOut")),
    weightGradient(stream, saved("out"), "self_attn.o_proj", C, C),
    ...attentionBackward(heads, {
      q: saved("q"),
      k: saved("k"),
      v: saved("v"),
      out: saved("out"),
      logsumexp: saved("logsumexp"),
      dout: scratch("dOut"),
      delta: scratch("delta"),
      dq: scratch("dq"),
      dk: scratch("dk"),
      dv: scratch("dv"),
    }),
    rope({ ...rotation, heads: H }, scratch("dq"), scratch("turns"), -1),
    rope({ ...rotation, heads: G }, scratch("dk"), scratch("turns"), -1),
    norm({ R, C }, eps, saved("x"), weight("input_layernorm"), normed),
    weightGradient(scratch("dq"), normed, "self_attn.q_proj", C, C),
    weightGradient(scratch("dk"), normed, "self_attn.k_proj", K, C),
    weightGradient(scratch("dv"), normed, "self_attn.v_proj", K, C),
    inputGradient(scratch("dq"), "self_attn.q_proj", C, C, dNormed),
    inputGradient(scratch("dk"), "self_attn.k_proj", K, C, dNormed, true),
    inputGradient(scratch("dv"), "self_attn.v_proj", K, C, dNormed, true),
    ...normGradient(saved("x"), "input_layernorm"),
  ];
}
