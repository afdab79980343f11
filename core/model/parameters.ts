// The canonical flat parameter space: every tensor of a model at a fixed offset, in an order in which a
// pipeline stage is one contiguous range. Reducers, checkpoints and engines all speak in its offsets, so
// sites may cut the model at different places.
// Not here: the bytes of parameters (web/engine) or their files (core/formats/safetensors.ts).
import type { ModelConfig } from "./config.ts";
import { hashText, Random } from "../random.ts";

/**
 * Tensors start at a multiple of this many elements (256 bytes of f16), so that each can be bound on its own; those
 * that one product multiplies with (query, key, value; gate, up) follow each other without a gap.
 */
export const TENSOR_ALIGNMENT = 128;

/** A half-open range of elements [start, end) in the canonical flat space. */
export interface Segment {
  readonly start: number;
  readonly end: number;
}

export interface Tensor {
  /** Hugging Face name, as in a Llama `model.safetensors`. */
  readonly name: string;
  /** [N, K] for a matrix that maps K inputs to N outputs, [K] for a norm's gain. */
  readonly shape: readonly number[];
  /** Offset of the first element in the canonical flat space. */
  readonly offset: number;
  readonly size: number;
  /** Block the tensor belongs to; "embed" and "head" stand at the two ends. */
  readonly part: number | "embed" | "head";
  /** Weight decay applies to matrices, not to gains. */
  readonly decay: boolean;
}

export interface ParameterSpace {
  readonly tensors: readonly Tensor[];
  /** Elements in the whole space, padding included. */
  readonly size: number;
  /** Trainable parameters, padding excluded. */
  readonly parameters: number;
}

export const EMBEDDING = "model.embed_tokens.weight";
export const FINAL_NORM = "model.norm.weight";
export const HEAD = "lm_head.weight";

export const headWidth = (model: ModelConfig): number => model.width / model.heads;

/** Layout of every tensor of `model`. Order: embedding, blocks 0.., final norm, head (absent when tied). */
export function parameterSpace(model: ModelConfig): ParameterSpace {
  const { width: C, hidden: F, vocab: V } = model;
  const kvWidth = model.kvHeads * headWidth(model);
  const tensors: Tensor[] = [];
  let offset = 0;
  let parameters = 0;
  const addNext = (name: string, shape: number[], part: Tensor["part"]) => {
    const size = shape.reduce((product, n) => product * n, 1);
    tensors.push({ name, shape, offset, size, part, decay: shape.length > 1 });
    offset += size;
    parameters += size;
  };
  const align = () => {
    offset = Math.ceil(offset / TENSOR_ALIGNMENT) * TENSOR_ALIGNMENT;
  };
  const add = (name: string, shape: number[], part: Tensor["part"]) => {
    align();
    addNext(name, shape, part);
  };
  add(EMBEDDING, [V, C], "embed");
  for (let layer = 0; layer < model.layers; layer++) {
    const prefix = `model.layers.${layer}`;
    add(`${prefix}.input_layernorm.weight`, [C], layer);
    add(`${prefix}.self_attn.q_proj.weight`, [C, C], layer);
    addNext(`${prefix}.self_attn.k_proj.weight`, [kvWidth, C], layer);
    addNext(`${prefix}.self_attn.v_proj.weight`, [kvWidth, C], layer);
    add(`${prefix}.self_attn.o_proj.weight`, [C, C], layer);
    add(`${prefix}.post_attention_layernorm.weight`, [C], layer);
    add(`${prefix}.mlp.gate_proj.weight`, [F, C], layer);
    addNext(`${prefix}.mlp.up_proj.weight`, [F, C], layer);
    add(`${prefix}.mlp.down_proj.weight`, [C, F], layer);
  }
  add(FINAL_NORM, [C], "head");
  if (!model.tied) add(HEAD, [V, C], "head");
  align();
  return { tensors, size: offset, parameters };
}

/** A pipeline stage's share of the model: blocks [first, last) plus the ends it holds. */
export interface StageRange {
  readonly first: number;
  readonly last: number;
  readonly embed: boolean;
  readonly head: boolean;
}

/** The stage made of blocks [first, last): the embedding goes with block 0, the head with the last block. */
export function stageRange(model: ModelConfig, first: number, last: number): StageRange {
  return { first, last, embed: first === 0, head: last === model.layers };
}

/** Tensors the stage owns: it holds their gradient and optimizer state. Contiguous in the flat space. */
export function ownedTensors(space: ParameterSpace, stage: StageRange): Tensor[] {
  return space.tensors.filter(({ part }) => {
    if (part === "embed") return stage.embed;
    if (part === "head") return stage.head;
    return part >= stage.first && part < stage.last;
  });
}

/** The contiguous range of the flat space that the stage owns, padding of its last tensor included. */
export function ownedSegment(space: ParameterSpace, stage: StageRange): Segment {
  const owned = ownedTensors(space, stage);
  const next = space.tensors[space.tensors.indexOf(owned.at(-1)!) + 1];
  return { start: owned[0]!.offset, end: next ? next.offset : space.size };
}

/** A view of the values of `part`, in `values` of all of `whole`. */
export function partOf<B extends ArrayBufferLike>(
  values: Float32Array<B>,
  whole: Segment,
  part: Segment,
): Float32Array<B> {
  return values.subarray(part.start - whole.start, part.end - whole.start);
}

/** Of the embedding, without padding. */
export function embeddingSegment({ tensors }: ParameterSpace): Segment {
  const { offset, size } = tensors.find(({ name }) => name === EMBEDDING)!;
  return { start: offset, end: offset + size };
}

/** A bit for every TENSOR_ALIGNMENT elements of the segment that `tensors` fill: whether weight decay applies to them. */
export function decayBits(tensors: Iterable<Tensor>, { start, end }: Segment): Uint32Array<ArrayBuffer> {
  const bits = new Uint32Array(Math.ceil((end - start) / TENSOR_ALIGNMENT / 32));
  for (const { decay, offset, size } of tensors) {
    if (!decay) continue;
    const first = Math.floor((offset - start) / TENSOR_ALIGNMENT);
    const last = Math.ceil((offset - start + size) / TENSOR_ALIGNMENT);
    for (let i = first; i < last; i++) bits[i >> 5]! |= 1 << (i & 31);
  }
  return bits;
}

/**
 * Whether the stage needs a copy of the tied embedding for its head while another stage owns it.
 * The copy has no optimizer state: its gradient goes to the owner, which sends the new weights back.
 */
export function borrowsEmbedding(model: ModelConfig, stage: StageRange): boolean {
  return model.tied && stage.head && !stage.embed;
}

/**
 * Initial values of one tensor, the same on every machine: uniform with the standard deviation given below
 * (only integer steps and one multiplication, because Math.log and Math.cos round differently between
 * JavaScript engines), from a stream that depends on the seed and the tensor's name alone.
 * Matrices: 1/sqrt(K), the two that write to the residual stream 1/sqrt(2 K layers); embedding and head 0.02;
 * gains 1.
 */
export function initialTensor(model: ModelConfig, tensor: Tensor, seed: number): Float32Array<ArrayBuffer> {
  const values = new Float32Array(tensor.size);
  if (!tensor.decay) return values.fill(1);
  const bound = Math.sqrt(3) * initialDeviation(model, tensor);
  const random = new Random(hashText(`${seed}/${tensor.name}`));
  for (let i = 0; i < values.length; i++) values[i] = (random.unit() * 2 - 1) * bound;
  return values;
}

function initialDeviation(model: ModelConfig, { name, shape }: Tensor): number {
  if (name === EMBEDDING || name === HEAD) return 0.02;
  const writesResidual = name.endsWith("o_proj.weight") || name.endsWith("down_proj.weight");
  return 1 / Math.sqrt(shape[1]! * (writesResidual ? 2 * model.layers : 1));
}
