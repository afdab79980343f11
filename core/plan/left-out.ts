// Why a worker has no place in a plan, in words for people.
import type { RunConfig } from "../model/config.ts";
import { formatBytes, formatSeconds } from "../format.ts";
import { blockSeconds, fixedSeconds, loadOf, type Load } from "./cost.ts";
import { candidatesOf } from "./measured.ts";
import type { Candidate } from "./pipelines.ts";
import { blocksHeld } from "./plan-impossible.ts";
import type { Plan } from "./plan.ts";
import type { PlannedRun } from "./predict.ts";
import { StageMemory } from "./stage-memory.ts";

export interface LeftOut {
  readonly worker: string;
  readonly site: string;
  readonly why: string;
}

/** Those of `plan.spare`, each with the reason. */
export function leftOutOf({ config, plan, sites, measured }: PlannedRun): LeftOut[] {
  const spare = new Set(plan.spare);
  const siteOf = [...sites].flatMap(([site, ids]) => ids.map((id) => [id, site] as const));
  const bySite = candidatesOf(sites, measured) ?? new Map<string, readonly Candidate[]>();
  const candidates = new Map([...bySite.values()].flat().map((one) => [one.id, one]));
  const explain = explainer(config, plan, bySite, candidates);
  return siteOf
    .filter(([worker]) => spare.has(worker))
    .map(([worker, site]) => ({ worker, site, why: explain(site, candidates.get(worker)) }));
}

function explainer(
  config: RunConfig,
  plan: Plan,
  bySite: ReadonlyMap<string, readonly Candidate[]>,
  candidates: ReadonlyMap<string, Candidate>,
) {
  const load = loadOf(config);
  const memory = new StageMemory(config);
  const { layers } = config.model;
  const least = Math.min(
    ...[1, 2, 3]
      .filter((stages) => stages <= layers)
      .map((stages) => memory.bytes(Math.min(1, stages - 1), stages, 1)),
  );
  const slowest = new Map<string, number>();
  for (const { site, stages } of plan.replicas) {
    for (const { worker, first, last } of stages) {
      const candidate = candidates.get(worker);
      if (!candidate) continue;
      const seconds = stageSeconds(load, candidate, last - first, last === layers);
      slowest.set(site, Math.max(slowest.get(site) ?? 0, seconds));
    }
  }
  const full = plan.replicas.length === load.microbatches;
  const enough = full
    ? `all ${load.microbatches} microbatches of a step have a pipeline of their own: a larger batch, or smaller microbatches, would use it`
    : "another stage or pipeline would add more waiting than it takes off work";
  const whySite = (site: string): string => {
    const workers = bySite.get(site)!;
    const depth = config.stages === "auto" ? null : Math.min(config.stages, workers.length);
    const { blocks } = blocksHeld({ workers, memory, load, depth });
    return blocks < layers
      ? `all workers of site ${site} together have memory for ${blocks} of the ${layers} blocks`
      : `with site ${site}, exchanging between sites would take longer than its work saves`;
  };
  return (site: string, candidate: Candidate | undefined): string => {
    if (!candidate)
      return `it is one more than the run has use for: ${full ? enough : "stages and microbatches are dealt out evenly without it"}`;
    const { speed } = candidate;
    if (speed.memory < least) {
      return `one block takes ${formatBytes(least)} of GPU memory, it has ${formatBytes(speed.memory)}`;
    }
    const limit = slowest.get(site);
    if (limit === undefined) return full ? enough : whySite(site);
    if (stageSeconds(load, candidate, 1, false) > limit) {
      return `too slow: a single block takes it longer than any other worker of the site its whole stage, ${formatSeconds(limit)} a microbatch`;
    }
    return enough;
  };
}

const stageSeconds = (load: Load, { speed }: Candidate, blocks: number, head: boolean): number =>
  fixedSeconds(load, speed, head) + blocks * blockSeconds(load, speed);
