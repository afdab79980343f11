// Chooses a plan: which workers form which pipelines, where they cut the model, who takes which microbatches.
// Workers count as equally fast and large; measured speeds and memory are not used here.
import type { ModelConfig, RunConfig } from "../model/config.ts";
import { headWidth } from "../model/parameters.ts";
import type { Plan, PlannedStage, Replica } from "./plan.ts";

/** The sites of a run in a fixed order, each with the ids of its workers. */
export type SiteWorkers = ReadonlyMap<string, readonly string[]>;

/**
 * Builds a plan.
 *
 * Stages: a number makes as many pipelines of that depth as a site's workers allow; "auto" makes one pipeline
 * of all the site's workers (at most one a block). A site with fewer workers than `stages` makes one pipeline of
 * those it has. Workers left over are spare. Microbatches are dealt out evenly; replicas beyond the number of
 * microbatches are spare too.
 */
export function makePlan(config: RunConfig, sites: SiteWorkers): Plan {
  const pipelines: { site: string; workers: readonly string[] }[] = [];
  const spare: string[] = [];
  for (const [site, workers] of sites) {
    if (workers.length === 0) continue;
    const wanted = config.stages === "auto" ? config.model.layers : config.stages;
    const depth = Math.min(wanted, workers.length);
    const count = config.stages === "auto" ? 1 : Math.floor(workers.length / depth);
    for (let i = 0; i < count; i++) {
      pipelines.push({ site, workers: workers.slice(i * depth, (i + 1) * depth) });
    }
    spare.push(...workers.slice(count * depth));
  }
  const microbatches = config.batch / config.microbatch;
  for (const { workers } of pipelines.splice(microbatches)) spare.push(...workers);
  const replicas = pipelines.map(({ site, workers }, i): Replica => ({
    site,
    stages: cutBlocks(config.model, workers),
    microbatches: range(
      share(microbatches, i, pipelines.length),
      share(microbatches, i + 1, pipelines.length),
    ),
  }));
  return { replicas, spare };
}

/** Start of part `i` when `total` items are cut into `parts` contiguous parts whose sizes differ by at most 1. */
export function share(total: number, i: number, parts: number): number {
  return Math.floor((total * i) / parts);
}

function range(start: number, end: number): number[] {
  return Array.from({ length: end - start }, (_, i) => start + i);
}

function cutBlocks(model: ModelConfig, workers: readonly string[]): PlannedStage[] {
  const cuts = balancedCuts(model, workers.length);
  return workers.map((worker, i) => ({ worker, first: cuts[i]!, last: cuts[i + 1]! }));
}

/**
 * Cuts of the blocks into `stages` contiguous stages, [0, ..., layers], that minimise the work of the busiest
 * stage; among equals the earliest cuts, so that the head's stage is not the fullest. Exact, by dynamic
 * programming over (stages, blocks).
 */
export function balancedCuts(model: ModelConfig, stages: number): number[] {
  const { layers } = model;
  const work = (first: number, last: number) =>
    (last - first) * blockFlops(model) + (last === layers ? headFlops(model) : 0);
  // best[s][l]: smallest bottleneck of blocks [0, l) in s stages, and where the last of them starts.
  let best: { bottleneck: number; start: number }[][] = [[{ bottleneck: 0, start: 0 }]];
  for (let s = 1; s <= stages; s++) {
    const row: { bottleneck: number; start: number }[] = [];
    for (let l = s; l <= layers - (stages - s); l++) {
      row[l] = { bottleneck: Infinity, start: s - 1 };
      for (let start = s - 1; start < l; start++) {
        const before = best[s - 1]![start];
        if (!before) continue;
        const bottleneck = Math.max(before.bottleneck, work(start, l));
        if (bottleneck < row[l]!.bottleneck) row[l] = { bottleneck, start };
      }
    }
    best = [...best, row];
  }
  const cuts = [layers];
  for (let s = stages; s > 0; s--) cuts.unshift(best[s]![cuts[0]!]!.start);
  return cuts;
}

/** Multiply-adds x 2 of one block's forward for one token: projections, MLP and causal attention. */
export function blockFlops(model: ModelConfig): number {
  const { width: C, hidden: F, context: T } = model;
  const kvWidth = model.kvHeads * headWidth(model);
  return 2 * (2 * C * C + 2 * C * kvWidth + 3 * C * F) + 2 * T * C;
}

/** Multiply-adds x 2 of the output projection's forward for one token. */
export function headFlops(model: ModelConfig): number {
  return 2 * model.width * model.vocab;
}
