// The models whose training steps are measured.
import { ModelConfig } from "../../core/model/config.ts";

export const MODELS = ["small", "smollm2-135m"] as const;
export type ModelName = (typeof MODELS)[number];

export interface BenchModel {
  readonly model: ModelConfig;
  readonly sequences: number;
  /** Whether float64 on the processor gets through its first steps in seconds. */
  readonly hasReference: boolean;
}

export function benchModel(name: ModelName): BenchModel {
  return { small, "smollm2-135m": smolLm }[name];
}

/** 0.87 million parameters: a step takes seconds on a software adapter. */
const small: BenchModel = {
  model: ModelConfig.parse({
    layers: 4,
    width: 128,
    heads: 4,
    kvHeads: 4,
    hidden: 352,
    context: 128,
    vocab: 256,
    tied: false,
  }),
  sequences: 8,
  hasReference: true,
};

/** The shape of SmolLM2-135M, with a head of its own, as all contenders have. */
const smolLm: BenchModel = {
  model: ModelConfig.parse({
    layers: 30,
    width: 576,
    heads: 9,
    kvHeads: 3,
    hidden: 1536,
    context: 1024,
    vocab: 49152,
    tied: false,
  }),
  sequences: 1,
  hasReference: false,
};
