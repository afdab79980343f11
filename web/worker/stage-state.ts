// Fills a stage from a seed or a checkpoint, and lays its state out as a checkpoint shard: safetensors with the
// parameters under their own names and AdamW's moments under "adam.m/" and "adam.v/".
import { decodeSafetensors, encodeSafetensors, type NamedTensor } from "../../core/formats/safetensors.ts";
import type { ModelConfig } from "../../core/model/config.ts";
import {
  borrowsEmbedding,
  EMBEDDING,
  initialTensor,
  ownedTensors,
  parameterSpace,
  type StageRange,
  type Tensor,
} from "../../core/model/parameters.ts";
import type { Shard } from "../../core/protocol/control.ts";
import type { Stage } from "../engine/stage.ts";
import type { BlobClient } from "./blobs.ts";
import type { Assignment } from "./trainer.ts";

const STATES = [
  { what: "parameters", prefix: "" },
  { what: "m", prefix: "adam.m/" },
  { what: "v", prefix: "adam.v/" },
] as const;

/** Writes the parameters, and the moments when the source has them, of everything the stage owns or borrows. */
export async function loadState(
  stage: Stage,
  range: StageRange,
  { config, state }: Pick<Assignment, "config" | "state">,
  blobs: BlobClient,
): Promise<void> {
  const { model } = config;
  const space = parameterSpace(model);
  const owned = ownedTensors(space, range);
  const borrowed = borrowsEmbedding(model, range)
    ? space.tensors.filter(({ name }) => name === EMBEDDING)
    : [];
  if (state.kind === "seed") {
    for (const tensor of owned)
      stage.write("parameters", initialTensor(model, tensor, config.seed), tensor.offset);
    for (const tensor of borrowed) stage.writeEmbedding(initialTensor(model, tensor, config.seed));
    return;
  }
  const wanted = new Set([...owned, ...borrowed].map(({ name }) => name));
  const shards = state.shards.filter(({ tensors }) => tensors.some((name) => wanted.has(name)));
  for (const { hash } of shards) {
    const { tensors } = decodeSafetensors(new Uint8Array(await blobs.get(hash)));
    for (const { what, prefix } of state.optimizer ? STATES : STATES.slice(0, 1)) {
      for (const tensor of owned) {
        const stored = tensors.get(prefix + tensor.name);
        if (stored) stage.write(what, stored.values, tensor.offset);
      }
    }
    for (const { name } of borrowed) {
      const stored = tensors.get(name);
      if (stored) stage.writeEmbedding(stored.values);
    }
  }
}

/** Uploads what the stage owns. */
export async function saveState(
  stage: Stage,
  range: StageRange,
  model: ModelConfig,
  blobs: BlobClient,
): Promise<Shard> {
  const owned = ownedTensors(parameterSpace(model), range);
  const tensors = new Map<string, NamedTensor>();
  for (const { what, prefix } of STATES) {
    const values = await stage.read(what);
    for (const tensor of owned) tensors.set(prefix + tensor.name, slice(values, tensor, stage.segment.start));
  }
  const file = encodeSafetensors(tensors);
  return { hash: await blobs.put(file), bytes: file.length, tensors: owned.map(({ name }) => name) };
}

function slice(values: Float32Array, { offset, size, shape }: Tensor, start: number): NamedTensor {
  return { shape, values: values.subarray(offset - start, offset - start + size) };
}
