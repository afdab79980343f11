// The arrays of a stage: named and sized from its specification alone, so that what it will take is known, and
// can be checked and shown, before anything is allocated.
// Not here: allocating them (web/engine/memory.ts), what works on them (web/engine/stage-operations.ts).
// Letters: R = B*T rows, C width, F hidden, H heads, W width of queries, keys and values together, V vocabulary.
import type { ModelConfig, OptimizerConfig, RunConfig } from "../model/config.ts";
import {
  borrowsEmbedding,
  headWidth,
  ownedSegment,
  parameterSpace,
  stageRange,
  TENSOR_ALIGNMENT,
  type StageRange,
} from "../model/parameters.ts";
import type { Replica } from "./plan.ts";
import { inFlight } from "./schedule.ts";

export type Precision = RunConfig["precision"];

export interface StageSpec {
  readonly model: ModelConfig;
  readonly range: StageRange;
  /** Sequences in a microbatch, B. */
  readonly microbatch: number;
  /** Microbatches whose activations are held at once. */
  readonly slots: number;
  /** Keep only the input of each block, and make the rest again in its backward. */
  readonly recompute: boolean;
  /**
   * A backward may come in two halves: a slot keeps what its gradients of weights are made of. Never with `recompute`,
   * which is there to keep less.
   */
  readonly split: boolean;
  /**
   * f16: products read a copy of the weights in half precision, and queries, keys and values are kept in it. A GPU
   * without shader-f16 keeps to f32.
   */
  readonly precision: Precision;
  readonly optimizer: Pick<OptimizerConfig, "beta1" | "beta2" | "eps" | "weightDecay">;
}

/** What stage `stage` of a replica holds of a run. */
export function stageSpecOf(
  { model, microbatch, recompute, precision, optimizer }: RunConfig,
  { stages, microbatches, zeroBubble }: Replica,
  stage: number,
): StageSpec {
  const { first, last } = stages[stage]!;
  const { beta1, beta2, eps, weightDecay } = optimizer;
  // With neighbours, one more than are in flight: a slot's read-back can be under way while the next one computes.
  const reading = stages.length > 1 ? 1 : 0;
  // In ZB-H1 every stage may hold as many as the first (zero-bubble.ts).
  const holdsAs = zeroBubble ? 0 : stage;
  return {
    model,
    range: stageRange(model, first, last),
    microbatch,
    slots: inFlight(holdsAs, stages.length, microbatches.length) + reading,
    recompute,
    split: zeroBubble === true,
    precision,
    optimizer: { beta1, beta2, eps, weightDecay },
  };
}

/** A stage for its forwards and backwards alone, one at a time: outside of a run. */
export function plainSpec(model: ModelConfig, range: StageRange, microbatch: number): StageSpec {
  return {
    model,
    range,
    microbatch,
    slots: 1,
    recompute: false,
    split: false,
    precision: "f32",
    optimizer: { beta1: 0.9, beta2: 0.95, eps: 1e-8, weightDecay: 0 },
  };
}

/** Array sizes in bytes, by name. */
export type MemoryPlan = ReadonlyMap<string, number>;

/** Elements of the flat range that one AdamW dispatch takes are a multiple of this: the decay bits' binding offset. */
export const WINDOW_ALIGNMENT = (256 / 4) * 32 * TENSOR_ALIGNMENT;

/** Sums of squares of parts of a gradient window, to be added up by whoever reads them. */
export const NORM_PARTS = 4096;

/** A row's length where it is padded for kernels that read four values at a time. */
export const inFours = (n: number): number => Math.ceil(n / 4) * 4;

/** What the logits of a chunk of rows may take, bytes, where 64 rows take no more. */
const CHUNK_BYTES = 32 * 2 ** 20;

/** Rows whose logits exist at once: a multiple of 64, so that a chunk of any [R,...] array starts where a binding may. */
export function chunkRows(model: ModelConfig, R: number): number {
  const fit = Math.floor(CHUNK_BYTES / (4 * inFours(model.vocab)) / 64) * 64;
  return Math.min(R, Math.max(64, fit));
}

/**
 * What of a block's forward its backward reads, its input apart, and what the first half of a backward keeps for the
 * second, in values of 4 bytes. The gradients by `hidden` and, in halves, by `qkv` take the arrays of those.
 */
function savedOfBlock({ model, microbatch: B, precision, split }: StageSpec): Record<string, number> {
  const { width: C, hidden: F, heads: H, context: T } = model;
  const R = B * T;
  const qkv = R * qkvWidth(model);
  return {
    qkv: precision === "f16" && !split ? qkv / 2 : qkv,
    out: R * C,
    logsumexp: R * H,
    middle: R * C,
    hidden: 2 * R * F,
    ...(split && { dOutput: R * C, dMiddle: R * C, act: R * F }),
  };
}

const qkvWidth = (model: ModelConfig) => model.width + 2 * model.kvHeads * headWidth(model);

/** Scratch arrays that are never in use at the same time, and so share one: the MLP's, attention's, the head's. */
export const SHARED_SCRATCH: Readonly<Record<string, readonly string[]>> = {
  // Queries, keys and values are projected here before they are kept in f16.
  wide: ["projected", "dqkv", "logits"],
  narrow: ["act", "dOut"],
};

/** The array that stands for `name`: its own, or the one it shares. */
export function arrayOf(name: string): string {
  return Object.entries(SHARED_SCRATCH).find(([, names]) => names.includes(name))?.[0] ?? name;
}

export function planMemory(spec: StageSpec): MemoryPlan {
  const { model, range, microbatch: B, slots, recompute, split, precision } = spec;
  if (recompute && split) throw new RangeError("a stage that recomputes cannot split its backward: drop one");
  const { width: C, hidden: F, heads: H, vocab: V, context: T } = model;
  const R = B * T;
  const { start, end } = ownedSegment(parameterSpace(model), range);
  const plan = new Map<string, number>();
  const floats = (sizes: Record<string, number>, prefix = "") => {
    for (const [name, count] of Object.entries(sizes)) {
      const array = arrayOf(prefix + name);
      plan.set(array, Math.max(plan.get(array) ?? 0, Math.max(4, count) * 4));
    }
  };
  const flat = end - start;
  floats({ parameters: flat, gradient: flat, m: flat, v: flat });
  if (precision === "f16") floats({ halves: flat / 2 });
  floats({ decay: Math.ceil(flat / TENSOR_ALIGNMENT / 32), update: 8 });
  floats({ partials: Math.ceil(flat / WINDOW_ALIGNMENT) * NORM_PARTS, losses: R });
  if (borrowsEmbedding(model, range)) {
    const size = Math.ceil((V * C) / TENSOR_ALIGNMENT) * TENSOR_ALIGNMENT;
    floats({ borrowed: size, borrowedGradient: size });
    if (precision === "f16") floats({ borrowedHalves: size / 2 });
  }
  // The gradient of the head's borrowed copy of a tied embedding, on its way to the embedding's own.
  if (model.tied && range.embed && !range.head) floats({ lent: V * C });
  floats({ turns: T * headWidth(model) });
  // Scratch of all blocks and slots; "stream" is the gradient that flows back along the residual stream.
  floats({ stream: R * C, normed: R * C, dNormed: R * C, scales: R });
  floats({ act: R * F, dOut: R * C, delta: R * H, dqkv: R * qkvWidth(model) });
  if (precision === "f16") floats({ projected: R * qkvWidth(model) });
  if (range.head) floats({ logits: chunkRows(model, R) * inFours(V), probe: C, probeLogits: inFours(V) });
  if (recompute) floats(savedOfBlock(spec), "again.");
  for (let slot = 0; slot < slots; slot++) {
    if (range.embed) floats({ tokens: R, segments: 3 * R + 1 }, `slot${slot}.`);
    if (range.head) floats({ targets: R }, `slot${slot}.`);
    for (let block = range.first; block < range.last; block++) {
      floats({ x: R * C, ...(recompute ? {} : savedOfBlock(spec)) }, `slot${slot}.block${block}.`);
    }
    floats({ y: R * C }, `slot${slot}.`);
  }
  return plan;
}

/** Small writes wait here for their turn (web/engine/commands.ts). */
export const UPLOAD_BYTES = 2 ** 20;

/** Buffers that results are read back through, and that small writes go through, by name. */
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
  const small = Math.max(parts + B * model.context, range.head ? model.vocab : 0);
  plan.set("staging", Math.max(end - start, embedding, small) * 4);
  plan.set("upload", UPLOAD_BYTES);
  return plan;
}

/** Bytes of GPU memory that a stage takes, staging included. */
export function stageBytes(spec: StageSpec): number {
  const sizes = [...planMemory(spec).values(), ...planStaging(spec).values()];
  return sizes.reduce((sum, bytes) => sum + bytes, 0);
}
