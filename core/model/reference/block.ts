// One pre-norm transformer block in float64, forward and backward, composed of the operations beside it.
// Source: Touvron et al., "LLaMA", 2023, with grouped-query attention; weights as Hugging Face stores them.
// Not here: the embedding and the head (model.ts).
import type { ModelConfig } from "../config.ts";
import { headWidth } from "../parameters.ts";
import { attention, attentionBackward, type AttentionShape } from "./attention.ts";
import { accumulate, add } from "./elementwise.ts";
import { linear, linearInputGradient, linearWeightGradient } from "./matmul.ts";
import { rmsNorm, rmsNormBackward, type NormShape } from "./norm.ts";
import { rope, ropeBackward, type RopeShape } from "./rope.ts";
import { swiglu, swigluBackward } from "./swiglu.ts";

/** A block's tensor, or its gradient to add to, by the end of its name: `self_attn.q_proj`. */
export type TensorOf = (name: string) => Float64Array;

/** What `blockForward` keeps for `blockBackward`; q and k are rotated. */
export interface BlockActivations {
  readonly x: Float64Array;
  readonly normed: Float64Array;
  readonly q: Float64Array;
  readonly k: Float64Array;
  readonly v: Float64Array;
  readonly attended: Float64Array;
  readonly logsumexp: Float64Array;
  readonly middle: Float64Array;
  readonly normedMiddle: Float64Array;
  readonly gate: Float64Array;
  readonly up: Float64Array;
  readonly act: Float64Array;
}

interface BlockShape {
  readonly C: number;
  readonly F: number;
  /** Width of keys and values, G*D. */
  readonly kvWidth: number;
  readonly M: number;
  readonly norm: NormShape;
  readonly attention: AttentionShape;
  readonly q: RopeShape;
  readonly k: RopeShape;
}

function blockShape(model: ModelConfig, B: number, T: number): BlockShape {
  const { width: C, hidden: F, heads: H, kvHeads: G, normEps: eps, ropeTheta: theta } = model;
  const D = headWidth(model);
  const R = B * T;
  return {
    C,
    F,
    kvWidth: G * D,
    M: R,
    norm: { R, C, eps },
    attention: { B, T, H, G, D },
    q: { R, T, heads: H, D, theta },
    k: { R, T, heads: G, D, theta },
  };
}

/** y[R,C] for x[R,C]: m = x + o_proj(attention(rope(q), rope(k), v)), y = m + down(silu(gate) * up). */
export function blockForward(
  model: ModelConfig,
  weight: TensorOf,
  x: Float64Array,
  B: number,
  T: number,
): { y: Float64Array; activations: BlockActivations } {
  const shape = blockShape(model, B, T);
  const { C, F, kvWidth, M } = shape;
  const normed = rmsNorm(x, weight("input_layernorm"), shape.norm);
  const q = rope(linear(normed, weight("self_attn.q_proj"), { M, N: C, K: C }), shape.q);
  const k = rope(linear(normed, weight("self_attn.k_proj"), { M, N: kvWidth, K: C }), shape.k);
  const v = linear(normed, weight("self_attn.v_proj"), { M, N: kvWidth, K: C });
  const { output: attended, logsumexp } = attention(q, k, v, shape.attention);
  const middle = add(x, linear(attended, weight("self_attn.o_proj"), { M, N: C, K: C }));
  const normedMiddle = rmsNorm(middle, weight("post_attention_layernorm"), shape.norm);
  const gate = linear(normedMiddle, weight("mlp.gate_proj"), { M, N: F, K: C });
  const up = linear(normedMiddle, weight("mlp.up_proj"), { M, N: F, K: C });
  const act = swiglu(gate, up);
  const y = add(middle, linear(act, weight("mlp.down_proj"), { M, N: C, K: F }));
  return {
    y,
    activations: { x, normed, q, k, v, attended, logsumexp, middle, normedMiddle, gate, up, act },
  };
}

/** dx[R,C] for dy[R,C]; adds the gradients of the block's tensors to what `gradient` finds. */
export function blockBackward(
  model: ModelConfig,
  weight: TensorOf,
  gradient: TensorOf,
  activations: BlockActivations,
  dy: Float64Array,
  B: number,
  T: number,
): Float64Array {
  const shape = blockShape(model, B, T);
  const { C, F, kvWidth, M } = shape;
  const { x, normed, q, k, v, attended, logsumexp, middle, normedMiddle, gate, up, act } = activations;

  /** Backward of one linear layer: adds its weight's gradient, returns its input's. */
  const back = (dOutput: Float64Array, input: Float64Array, name: string, N: number, K: number) => {
    accumulate(gradient(name), linearWeightGradient(dOutput, input, { M, N, K }));
    return linearInputGradient(dOutput, weight(name), { M, N, K });
  };
  /** Backward of one norm, whose input also flows on as `dResidual`. */
  const backNorm = (input: Float64Array, dNormed: Float64Array, name: string, dResidual: Float64Array) => {
    const { dx, dGain } = rmsNormBackward(input, weight(name), dNormed, shape.norm);
    accumulate(gradient(name), dGain);
    return add(dResidual, dx);
  };

  const { dGate, dUp } = swigluBackward(gate, up, back(dy, act, "mlp.down_proj", C, F));
  const dNormedMiddle = add(
    back(dGate, normedMiddle, "mlp.gate_proj", F, C),
    back(dUp, normedMiddle, "mlp.up_proj", F, C),
  );
  const dMiddle = backNorm(middle, dNormedMiddle, "post_attention_layernorm", dy);

  const dAttended = back(dMiddle, attended, "self_attn.o_proj", C, C);
  const { dq, dk, dv } = attentionBackward(q, k, v, attended, logsumexp, dAttended, shape.attention);
  const dNormed = back(ropeBackward(dq, shape.q), normed, "self_attn.q_proj", C, C);
  accumulate(dNormed, back(ropeBackward(dk, shape.k), normed, "self_attn.k_proj", kvWidth, C));
  accumulate(dNormed, back(dv, normed, "self_attn.v_proj", kvWidth, C));
  return backNorm(x, dNormed, "input_layernorm", dMiddle);
}
