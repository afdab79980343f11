// The hand-written backward of one transformer block as operations on buffers: whole, or in two halves, of which the
// second, the gradients of weights, may come any time later. The same operations either way, and so the same bits.
// Gains' gradients are part of the first half: a norm's backward gives them on its way.
import type { ModelConfig } from "../../core/model/config.ts";
import { attentionBackward } from "./attention.ts";
import { GATE_UP, QKV, shapes, type BlockBuffers } from "./block.ts";
import type { Epilogue } from "./matmul.ts";
import { multiply } from "./multiply.ts";
import { copy, norm, normBackward, rope } from "./operations.ts";
import type { Binding, Operation } from "./program.ts";
import type { Tuning } from "./tuning.ts";

/** Turns the gradient in `stream` from the block's output's into its input's; adds to the parameters' gradients. */
export function blockBackward(
  model: ModelConfig,
  microbatch: number,
  buffers: BlockBuffers,
  tuning: Tuning,
): Operation[] {
  const { mlp, attention } = parts(model, microbatch, buffers, tuning);
  return [mlp, attention].flatMap(({ inner, weights, input }) => [...inner, ...weights, ...input]);
}

/** The same without adding to the gradients of weights; keeps what `blockBackwardWeights` needs. */
export function blockBackwardInput(
  model: ModelConfig,
  microbatch: number,
  buffers: BlockBuffers,
  tuning: Tuning,
): Operation[] {
  const { mlp, attention } = parts(model, microbatch, buffers, tuning);
  return [mlp, attention].flatMap(({ inner, input }) => [...inner, ...input]);
}

/** Adds to the gradients of weights, after `blockBackwardInput`; uses no scratch that another operation leaves full. */
export function blockBackwardWeights(
  model: ModelConfig,
  microbatch: number,
  buffers: BlockBuffers,
  tuning: Tuning,
): Operation[] {
  const { mlp, attention } = parts(model, microbatch, buffers, tuning);
  return [...mlp.weights, ...attention.weights];
}

/** Of the MLP or of attention. */
interface BackwardParts {
  /** From the gradient in `stream` to those that gradients of weights need. */
  readonly inner: Operation[];
  readonly weights: Operation[];
  /** On to the gradient by the input, in `stream`. */
  readonly input: Operation[];
}

function parts(
  model: ModelConfig,
  microbatch: number,
  { scratch, saved, kept, gain, weight, gradient }: BlockBuffers,
  tuning: Tuning,
): Record<"mlp" | "attention", BackwardParts> {
  const { R, C, F, W, eps, heads, rotation } = shapes(model, microbatch);
  const stream = scratch("stream");
  const normed = scratch("normed");
  const dNormed = scratch("dNormed");
  const dqkv = scratch("dqkv");
  // Free whenever a weight gradient is made: its last reader is done, its next writer comes after.
  const idle = { buffer: dNormed.buffer, offset: 0, size: R * C * 4 };
  /** Where it is kept elsewhere than it was made. */
  const keep = (size: number, made: Binding, where: Binding) =>
    made.buffer === where.buffer ? [] : [copy(size, made, where)];
  const weightGradient = (dy: Binding, x: Binding, c: Binding, N: number, inputs: number) => {
    const product = { layout: "tn", M: N, N: inputs, K: R } as const;
    return multiply(tuning, product, dy, x, { kind: "accumulate", c }, idle);
  };
  const inputGradient = (dy: Binding, w: Binding, N: number, inputs: number, epilogue: Epilogue) => {
    const product = { layout: "nn", M: R, N: inputs, K: N } as const;
    return multiply(tuning, product, dy, w, epilogue);
  };
  const normAgain = (x: Binding, name: string) => norm(tuning.row(C), { R, C }, eps, x, gain(name), normed);
  const normGradient = (x: Binding, name: string) =>
    normBackward(
      tuning.row(C),
      { R, C },
      eps,
      { x, gain: gain(name), dy: dNormed, dx: stream, dgain: gradient(name), scales: scratch("scales") },
      true,
    );
  // Gate and up become their gradient.
  const hidden = saved("hidden");
  return {
    mlp: {
      inner: [
        ...keep(R * C, stream, kept("dOutput")),
        ...inputGradient(stream, weight("mlp.down_proj"), C, F, {
          kind: "swiglu-backward",
          hidden,
          act: kept("act"),
        }),
      ],
      weights: [
        ...weightGradient(kept("dOutput"), kept("act"), gradient("mlp.down_proj"), C, F),
        normAgain(saved("middle"), "post_attention_layernorm"),
        ...weightGradient(hidden, normed, gradient(...GATE_UP), 2 * F, C),
      ],
      input: [
        ...inputGradient(hidden, weight(...GATE_UP), 2 * F, C, { kind: "store", c: dNormed }),
        ...normGradient(saved("middle"), "post_attention_layernorm"),
      ],
    },
    attention: {
      inner: [
        ...keep(R * C, stream, kept("dMiddle")),
        ...inputGradient(stream, weight("self_attn.o_proj"), C, C, { kind: "store", c: scratch("dOut") }),
        ...attentionBackward(tuning.attention(heads.D), heads, {
          qkv: saved("qkv"),
          out: saved("out"),
          logsumexp: saved("logsumexp"),
          dout: scratch("dOut"),
          delta: scratch("delta"),
          dqkv,
        }),
        rope(rotation, dqkv, scratch("turns"), -1),
        ...keep(R * W, dqkv, kept("dqkv")),
      ],
      weights: [
        ...weightGradient(kept("dMiddle"), saved("out"), gradient("self_attn.o_proj"), C, C),
        normAgain(saved("x"), "input_layernorm"),
        ...weightGradient(kept("dqkv"), normed, gradient(...QKV), W, C),
      ],
      input: [
        ...inputGradient(dqkv, weight(...QKV), W, C, { kind: "store", c: dNormed }),
        ...normGradient(saved("x"), "input_layernorm"),
      ],
    },
  };
}
