// The model's end as operations: final norm, output projection and cross-entropy, a chunk of rows at a time, so
// that logits[rows, vocabulary] never exist as a whole. With the loss, a chunk's logits become their gradient at
// once and are used up before the next chunk's: the head's backward is part of its forward.
import type { ModelConfig } from "../../core/model/config.ts";
import { chunkRows } from "../../core/plan/memory.ts";
import type { Epilogue, Product } from "./matmul.ts";
import { multiply } from "./multiply.ts";
import { crossEntropy, norm, normBackward } from "./operations.ts";
import type { Binding, Operation } from "./program.ts";
import type { Tuning } from "./tuning.ts";

export interface HeadBuffers {
  readonly scratch: (name: string) => Binding;
  /** Output of the last block. */
  readonly x: Binding;
  readonly targets: Binding;
  readonly gain: Binding;
  readonly gainGradient: Binding;
  /** Output projection [V,C] as products read it: the head's own, the stage's embedding, or its borrowed copy. */
  readonly projection: Binding;
  readonly projectionGradient: Binding;
}

/** Adds each row's loss to `losses`. */
export function headLoss(
  model: ModelConfig,
  microbatch: number,
  buffers: HeadBuffers,
  tuning: Tuning,
): Operation[] {
  return head(model, microbatch, buffers, tuning, false);
}

/** Adds each row's loss to `losses`, and to the gradients; sets `stream` to the gradient by the last block's output. */
export function headLossAndGradient(
  model: ModelConfig,
  microbatch: number,
  buffers: HeadBuffers,
  tuning: Tuning,
): Operation[] {
  const { scratch, x, gain, gainGradient } = buffers;
  const rows = { R: microbatch * model.context, C: model.width };
  return [
    ...head(model, microbatch, buffers, tuning, true),
    ...normBackward(
      tuning.row(rows.C),
      rows,
      model.normEps,
      {
        x,
        gain,
        dy: scratch("dNormed"),
        dx: scratch("stream"),
        dgain: gainGradient,
        scales: scratch("scales"),
      },
      false,
    ),
  ];
}

/** The logits of one row, [V], from its normed values in `probe`. */
export function rowLogits(model: ModelConfig, buffers: HeadBuffers, tuning: Tuning): Operation[] {
  const { scratch, projection } = buffers;
  const product: Product = { layout: "nt", M: 1, N: model.vocab, K: model.width };
  const epilogue: Epilogue = { kind: "store", c: scratch("probeLogits") };
  return multiply(tuning, product, scratch("probe"), projection, epilogue);
}

function head(
  model: ModelConfig,
  microbatch: number,
  buffers: HeadBuffers,
  tuning: Tuning,
  gradient: boolean,
): Operation[] {
  const { scratch, x, targets, gain, projection, projectionGradient } = buffers;
  const { width: C, vocab: V, normEps } = model;
  const R = microbatch * model.context;
  const normed = scratch("normed");
  const logits = scratch("logits");
  const operations = [norm(tuning.row(C), { R, C }, normEps, x, gain, normed)];
  const add = (product: Product, a: Binding, b: Binding, epilogue: Epilogue) =>
    operations.push(...multiply(tuning, product, a, b, epilogue));
  for (let first = 0; first < R; first += chunkRows(model, R)) {
    const rows = Math.min(chunkRows(model, R), R - first);
    const chunk = ({ buffer }: Binding, width: number) => ({
      buffer,
      offset: first * width * 4,
      size: rows * width * 4,
    });
    add({ layout: "nt", M: rows, N: V, K: C }, chunk(normed, C), projection, {
      kind: "store",
      c: logits,
    });
    operations.push(
      crossEntropy(
        tuning.row(V),
        { R: rows, V },
        gradient,
        logits,
        chunk(targets, 1),
        chunk(scratch("losses"), 1),
      ),
    );
    if (!gradient) continue;
    add({ layout: "tn", M: V, N: C, K: rows }, logits, chunk(normed, C), {
      kind: "accumulate",
      c: projectionGradient,
    });
    add({ layout: "nn", M: rows, N: C, K: V }, logits, projection, {
      kind: "store",
      c: chunk(scratch("dNormed"), C),
    });
  }
  return operations;
}
