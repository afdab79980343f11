// The buffers of a stage: named and sized from its specification alone, so that what it will take is known, and
// checked against the GPU's limits, before anything is allocated.
// Letters: R = B*T rows, C width, F hidden, H heads, W width of queries, keys and values together, V vocabulary.
import type { ModelConfig, OptimizerConfig } from "../../core/model/config.ts";
import {
  borrowsEmbedding,
  headWidth,
  ownedSegment,
  parameterSpace,
  TENSOR_ALIGNMENT,
  type StageRange,
  type Tensor,
} from "../../core/model/parameters.ts";
import { DoesNotFit } from "./device.ts";
import { chunkRows } from "./head.ts";
import { inFours, NORM_PARTS } from "./operations.ts";

export interface StageSpec {
  readonly model: ModelConfig;
  readonly range: StageRange;
  /** Sequences in a microbatch, B. */
  readonly microbatch: number;
  /** Microbatches whose activations are held at once. */
  readonly slots: number;
  readonly optimizer: Pick<OptimizerConfig, "beta1" | "beta2" | "eps" | "weightDecay">;
}

/** Buffer sizes in bytes, by name. */
export type MemoryPlan = ReadonlyMap<string, number>;

/** Elements of the flat range that one AdamW dispatch takes are a multiple of this: the decay bits' binding offset. */
export const WINDOW_ALIGNMENT = (256 / 4) * 32 * TENSOR_ALIGNMENT;

export function planMemory(spec: StageSpec): MemoryPlan {
  const { model, range, microbatch: B, slots } = spec;
  const { width: C, hidden: F, heads: H, vocab: V, context: T } = model;
  const R = B * T;
  const W = C + 2 * model.kvHeads * headWidth(model);
  const { start, end } = ownedSegment(parameterSpace(model), range);
  const plan = new Map<string, number>();
  const floats = (sizes: Record<string, number>, prefix = "") => {
    for (const [name, count] of Object.entries(sizes)) plan.set(prefix + name, Math.max(4, count) * 4);
  };
  const flat = end - start;
  floats({ parameters: flat, gradient: flat, m: flat, v: flat });
  floats({ decay: Math.ceil(flat / TENSOR_ALIGNMENT / 32), update: 8 });
  floats({ partials: Math.ceil(flat / WINDOW_ALIGNMENT) * NORM_PARTS, losses: R });
  if (borrowsEmbedding(model, range)) {
    const size = Math.ceil((V * C) / TENSOR_ALIGNMENT) * TENSOR_ALIGNMENT;
    floats({ borrowed: size, borrowedGradient: size });
  }
  // The gradient of the head's borrowed copy of a tied embedding, on its way to the embedding's own.
  if (model.tied && range.embed && !range.head) floats({ lent: V * C });
  floats({ turns: T * headWidth(model) });
  // Scratch shared by all blocks and slots; "stream" is the gradient that flows back along the residual stream.
  floats({ stream: R * C, normed: R * C, dNormed: R * C, scales: R });
  floats({ act: R * F, dHidden: 2 * R * F, dOut: R * C, delta: R * H, dqkv: R * W });
  if (range.head) floats({ logits: chunkRows(model, R) * inFours(V), probe: C, probeLogits: inFours(V) });
  for (let slot = 0; slot < slots; slot++) {
    if (range.embed) floats({ tokens: R, segments: 3 * R + 1 }, `slot${slot}.`);
    if (range.head) floats({ targets: R }, `slot${slot}.`);
    for (let block = range.first; block < range.last; block++) {
      floats(
        {
          x: R * C,
          qkv: R * W,
          out: R * C,
          logsumexp: R * H,
          middle: R * C,
          hidden: 2 * R * F,
        },
        `slot${slot}.block${block}.`,
      );
    }
    floats({ y: R * C }, `slot${slot}.`);
  }
  return plan;
}

/** Staging buffers, for reading results back, by name. */
export function planStaging({ model, range, microbatch: B, slots }: StageSpec): MemoryPlan {
  const activations = B * model.context * model.width * 4;
  const { start, end } = ownedSegment(parameterSpace(model), range);
  const plan = new Map<string, number>();
  for (let slot = 0; slot < slots; slot++) {
    if (!range.head) plan.set(`output${slot}`, activations);
    if (!range.embed) plan.set(`inputGradient${slot}`, activations);
  }
  const embedding = model.tied ? model.vocab * model.width : 0;
  const parts = Math.ceil((end - start) / WINDOW_ALIGNMENT) * NORM_PARTS;
  const small = Math.max(parts, B * model.context, range.head ? model.vocab : 0);
  plan.set("staging", Math.max(end - start, embedding, small) * 4);
  return plan;
}

export function totalBytes(...plans: MemoryPlan[]): number {
  return plans.flatMap((plan) => [...plan.values()]).reduce((sum, bytes) => sum + bytes, 0);
}

/** @throws DoesNotFit when a tensor is too large for kernels to read at once */
export function checkTensors(device: GPUDevice, tensors: Iterable<Tensor>): void {
  const limit = device.limits.maxStorageBufferBindingSize;
  for (const { name, size } of tensors) {
    if (size * 4 > limit) {
      throw DoesNotFit.overLimit(`the tensor '${name}'`, size * 4, "maxStorageBufferBindingSize", limit);
    }
  }
}

/**
 * Allocates the plan's buffers, each zero.
 * @throws DoesNotFit when one is over the device's limits
 */
export function allocate(device: GPUDevice, plan: MemoryPlan, usage: number): Map<string, GPUBuffer> {
  const { maxBufferSize, maxStorageBufferBindingSize } = device.limits;
  for (const [name, bytes] of plan) {
    if (bytes > maxBufferSize)
      throw DoesNotFit.overLimit(`the buffer '${name}'`, bytes, "maxBufferSize", maxBufferSize);
    // Parameters are bound a tensor at a time (checkTensors) and the optimizer works in windows; the rest is bound
    // whole.
    const boundWhole = usage & GPUBufferUsage.STORAGE && !["parameters", "gradient", "m", "v"].includes(name);
    if (boundWhole && bytes > maxStorageBufferBindingSize) {
      throw DoesNotFit.overLimit(
        `the buffer '${name}'`,
        bytes,
        "maxStorageBufferBindingSize",
        maxStorageBufferBindingSize,
      );
    }
  }
  return new Map(Array.from(plan, ([label, size]) => [label, device.createBuffer({ label, size, usage })]));
}
