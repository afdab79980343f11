// Clusters to plan for: mixed speeds, memories and lines, drawn from a seed; and a run for them.
import { RunConfig } from "../../../core/model/config.ts";
import demo from "../../../core/model/demo.json" with { type: "json" };
import { Cluster } from "../../../core/plan/cluster.ts";
import { Random } from "../../../core/random.ts";
import { benchModel } from "../models.ts";

/** Workers in all, and sites that they are in. */
export const SIZES = [
  { workers: 10, sites: 2 },
  { workers: 100, sites: 5 },
  { workers: 1000, sites: 20 },
  { workers: 10_000, sites: 20 },
] as const;

export function mixedCluster(workers: number, sites: number, seed: number): Cluster {
  const random = new Random(seed);
  const between = (from: number, to: number) => from + (to - from) * random.unit();
  return Cluster.parse({
    sites: Array.from({ length: sites }, (_, site) => ({
      name: `site-${site + 1}`,
      workers: Array.from({ length: workers / sites }, () => ({
        gflops: between(500, 10_000),
        overheadMs: between(0.2, 2),
        memory: `${2 + random.below(14)} GB`,
      })),
      link: { mbit: 1000 * (1 + random.below(10)), ms: 0.2 },
      wide: { mbit: between(10, 100), ms: between(5, 50) },
    })),
  });
}

/** A model of the shape of SmolLM2-135M, four sequences a worker. */
export const runFor = (workers: number): RunConfig =>
  RunConfig.parse({
    ...demo,
    model: benchModel("smollm2-135m").model,
    batch: 4 * workers,
    microbatch: 1,
    activations: "f16",
    strategy: {
      kind: "rounds",
      inner: 50,
      fragments: 3,
      overlap: 2,
      bits: 4,
      outerLr: 0.7,
      outerMomentum: 0.9,
      merge: 0.5,
    },
  });
