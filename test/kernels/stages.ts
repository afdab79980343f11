// Stages for tests: made, filled and driven by hand.
import type { ModelConfig } from "../../core/model/config.ts";
import { borrowsEmbedding, EMBEDDING, parameterSpace, stageRange } from "../../core/model/parameters.ts";
import type { Random } from "../../core/random.ts";
import type { Gpu } from "../../web/engine/device.ts";
import type { StageSpec } from "../../core/plan/memory.ts";
import { Stage } from "../../web/engine/stage.ts";
import type { Tuning } from "../../web/engine/tuning.ts";
import { IGNORE } from "../../core/data/batch.ts";
import { randomTokens } from "../fixtures/models.ts";
import { gpu } from "./device.ts";

export const optimizer = { beta1: 0.9, beta2: 0.95, eps: 1e-8, weightDecay: 0.1 };

/** Blocks [first, last) of the model, by default all. */
export function specOf(
  model: ModelConfig,
  {
    first = 0,
    last = model.layers,
    microbatch = 1,
    slots = 1,
    recompute = false,
    split = false,
    precision = "f32" as StageSpec["precision"],
  } = {},
): StageSpec {
  const range = stageRange(model, first, last);
  return { model, range, microbatch, slots, recompute, split, precision, optimizer };
}

/** A stage that holds its share of `parameters`, the flat canonical space. */
export async function filledStage(
  spec: StageSpec,
  parameters: Float64Array,
  on: Gpu = gpu,
  tuning?: Tuning,
): Promise<Stage> {
  const stage = await Stage.create(on, spec, tuning);
  const { start, end } = stage.segment;
  stage.write("parameters", Float32Array.from(parameters.subarray(start, end)), start);
  if (borrowsEmbedding(spec.model, spec.range)) {
    const embedding = parameterSpace(spec.model).tensors.find(({ name }) => name === EMBEDDING)!;
    const values = parameters.subarray(embedding.offset, embedding.offset + embedding.size);
    stage.writeEmbedding(Float32Array.from(values));
  }
  return stage;
}

/** A microbatch whose second row has no target. */
export function microbatchOf(model: ModelConfig, B: number, random: Random) {
  const batch = randomTokens(model, B * model.context, random);
  batch.targets[1] = IGNORE;
  return batch;
}
