// A plan mended after workers have left, rather than made anew: everyone else keeps the stage that they hold.
// Not here: making plans (planner.ts), when mending will do (core/simulate/planning.ts).
import type { RunConfig } from "../model/config.ts";
import { blockSeconds, fixedSeconds, loadOf, pipelineCost, type Load } from "./cost.ts";
import { FREE_LINK, type Measured } from "./measured.ts";
import type { SiteWorkers } from "./partition.ts";
import type { Plan, Replica } from "./plan.ts";
import { siteSumOf } from "./predict.ts";
import { shareMicrobatches } from "./shares.ts";
import type { WorkerSpeed } from "./speed.ts";
import { withWideShares } from "./wide-shares.ts";

/** Whether `other` can do all that `one` can, as fast. */
const standsInFor = (other: WorkerSpeed, one: WorkerSpeed): boolean =>
  other.block >= one.block &&
  other.head >= one.head &&
  other.overhead <= one.overhead &&
  other.memory >= one.memory;

/**
 * For each worker that is gone an unused one of its site that is as fast and as large, the slowest such; null when there
 * is none for one of them. The plan itself when nobody is gone. `measured` knows those who are gone, too.
 */
export function withStandIns(plan: Plan, sites: SiteWorkers, { workers: speeds }: Measured): Plan | null {
  const gone = goneOf(plan, sites);
  if (gone.length === 0) return plan;
  const unused = unusedBySite(plan, sites);
  const standIns = new Map<string, string>();
  for (const { site, worker } of gone) {
    const able = (unused.get(site) ?? []).filter((id) => standsInFor(speeds.get(id)!, speeds.get(worker)!));
    if (able.length === 0) return null;
    const chosen = able.reduce((a, b) => (speeds.get(b)!.block < speeds.get(a)!.block ? b : a));
    standIns.set(worker, chosen);
    unused.set(
      site,
      unused.get(site)!.filter((id) => id !== chosen),
    );
  }
  const replicas = plan.replicas.map((replica): Replica => {
    if (!replica.stages.some(({ worker }) => standIns.has(worker))) return replica;
    const stages = replica.stages.map((stage) => ({
      ...stage,
      worker: standIns.get(stage.worker) ?? stage.worker,
    }));
    return { ...replica, stages };
  });
  return { ...plan, replicas, spare: [...unused.values()].flat() };
}

/** Without the pipelines that have lost a worker: the others take their microbatches. Null when no pipeline is left. */
export function withoutBroken(
  config: RunConfig,
  plan: Plan,
  sites: SiteWorkers,
  measured: Measured,
): Plan | null {
  const gone = new Set(goneOf(plan, sites).map(({ worker }) => worker));
  const whole = plan.replicas.filter(({ stages }) => !stages.some(({ worker }) => gone.has(worker)));
  if (whole.length === 0) return null;
  const load = loadOf(config);
  const left: Plan = { replicas: whole, spare: [] };
  const after = new Map([...sites.keys()].map((site) => [site, siteSumOf(config, left, site, measured)]));
  const sharers = whole.map((replica) => ({
    ...costOf(load, replica, measured),
    after: after.get(replica.site)!,
  }));
  const shares = shareMicrobatches(sharers, load.microbatches);
  let next = 0;
  const replicas = whole
    .map((replica, i) => ({
      ...replica,
      microbatches: Array.from({ length: shares[i]! }, () => next++),
    }))
    .filter(({ microbatches }) => microbatches.length > 0);
  const spare = [...unusedBySite({ replicas, spare: [] }, sites).values()].flat();
  return withWideShares({ replicas, spare }, measured);
}

/** Workers of the plan that are not among those of `sites`. */
function goneOf({ replicas }: Plan, sites: SiteWorkers): { site: string; worker: string }[] {
  const there = new Set([...sites.values()].flat());
  return replicas.flatMap(({ site, stages }) =>
    stages.filter(({ worker }) => !there.has(worker)).map(({ worker }) => ({ site, worker })),
  );
}

function unusedBySite({ replicas }: Plan, sites: SiteWorkers): Map<string, string[]> {
  const placed = new Set(replicas.flatMap(({ stages }) => stages.map(({ worker }) => worker)));
  return new Map([...sites].map(([site, ids]) => [site, ids.filter((id) => !placed.has(id))]));
}

/** By the formula that plans are searched with. */
function costOf(load: Load, { site, stages }: Replica, { workers, siteLinks }: Measured) {
  const work = stages.map(({ worker, first, last }) => {
    const speed = workers.get(worker)!;
    return fixedSeconds(load, speed, last === load.blocks) + (last - first) * blockSeconds(load, speed);
  });
  const sum = work.reduce((a, b) => a + b, 0);
  const link = siteLinks.get(site) ?? FREE_LINK;
  return pipelineCost(load, link, stages.length, { sum, largest: Math.max(...work) });
}
