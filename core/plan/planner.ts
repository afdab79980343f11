// Chooses a plan by what is known of workers and links: the one whose step is predicted to take the least time.
// Not here: the cost of a step (cost.ts), a site's groupings (grouping.ts), which sites take part (sites.ts), in
// which order its stages work (choose-order.ts), what the plan will take (predict.ts), who is left out why (left-out.ts).
import type { RunConfig } from "../model/config.ts";
import { withZeroBubble } from "./choose-order.ts";
import { loadOf, microbatchesIn, pipelineSeconds, sumHops, type Load, type SumHops } from "./cost.ts";
import { groupingOf, groupingsOf, isSmall, type SiteTask } from "./grouping.ts";
import { improve } from "./improve.ts";
import { candidatesOf, FREE_LINK, NOTHING_MEASURED, type Measured } from "./measured.ts";
import { makePlan, type SiteWorkers } from "./partition.ts";
import type { Candidate, Pipeline } from "./pipelines.ts";
import type { Plan } from "./plan.ts";
import { explainMisfit, PlanImpossible } from "./plan-impossible.ts";
import { predict, type PlannedRun, type Prediction } from "./predict.ts";
import { shareMicrobatches } from "./shares.ts";
import { ALL_SETS, bestGrouping, bestSites, usefulGroupings, type Choice, type Site } from "./sites.ts";
import { StageMemory } from "./stage-memory.ts";
import { withWideShares } from "./wide-shares.ts";

export interface Planned extends PlannedRun {
  /** Null when no worker's speed is known. */
  readonly prediction: Prediction | null;
}

/**
 * Plans a run. Workers whose speed is not known count as the median of the others; where no speed is known all count
 * as equal, and the plan is `makePlan`'s. `stages` as a number fixes the depth of pipelines; "auto" leaves it open.
 * The same input always gives the same plan.
 *
 * @throws PlanImpossible when no site's workers can hold the model; its message says what would help
 */
export function planRun(
  config: RunConfig,
  sites: SiteWorkers,
  measured: Measured = NOTHING_MEASURED,
): Planned {
  const candidates = candidatesOf(sites, measured);
  const chosen = withWideShares(
    candidates ? choose(config, candidates, measured) : makePlan(config, sites),
    measured,
  );
  const plan = withZeroBubble({ config, plan: chosen, sites, measured });
  const run = { config, plan, sites, measured };
  return { ...run, prediction: predict(run) };
}

/** Pipelines that may be tried to improve groupings, over all sites. */
const MOST_TRIALS = 6000;

function choose(
  config: RunConfig,
  candidates: ReadonlyMap<string, readonly Candidate[]>,
  measured: Measured,
): Plan {
  const load = loadOf(config);
  const all = sitesOf(config, load, candidates, measured);
  const able = all.filter(({ groupings }) => groupings.length > 0);
  if (able.length === 0)
    throw new PlanImpossible(
      explainMisfit(
        config,
        all.map(({ task }) => task),
      ),
    );
  let choice = bestSites(load, able);
  if (choice.sites.some(({ task }) => !isSmall(task))) {
    // Now it is known about how much each speed gets to do, and in what time: large sites are grouped again by that.
    const used = choice.sites.flatMap((site) =>
      bestGrouping(site, choice.seconds).groups.flatMap(([pipeline]) => pipeline!.workers),
    );
    const trials = Math.floor(MOST_TRIALS / choice.sites.length);
    for (const site of choice.sites)
      if (!isSmall(site.task)) regroup(load, site, used, choice.seconds, trials);
    choice = bestSites(load, able);
  }
  return planOf(load, choice, [...candidates.values()].flat());
}

function regroup(load: Load, site: Site, used: readonly Candidate[], seconds: number, trials: number): void {
  const task = { ...site.task, share: sharesOf(load, used) };
  const groupings = usefulGroupings([...site.groupings, ...groupingsOf(task)], load.microbatches);
  const best = bestGrouping({ ...site, groupings }, seconds);
  site.groupings = [...groupings, improve(task, best, seconds, trials)];
}

/** What a group may expect when all microbatches are shared out over `workers` by speed. */
function sharesOf({ microbatches }: Load, workers: readonly Candidate[]): SiteTask["share"] {
  const speedOf = (some: readonly Candidate[]) => some.reduce((sum, { speed }) => sum + speed.block, 0);
  const total = speedOf(workers);
  return (group) => Math.min(microbatches, Math.max(1, Math.round((microbatches * speedOf(group)) / total)));
}

function sitesOf(
  config: RunConfig,
  load: Load,
  candidates: ReadonlyMap<string, readonly Candidate[]>,
  { siteLinks, wideLinks }: Measured,
): Site[] {
  const memory = new StageMemory(config);
  const { stages } = config;
  const share = sharesOf(load, [...candidates.values()].flat());
  const peopled = [...candidates].filter(([, workers]) => workers.length > 0);
  const hops = sumHops(load.strategy, peopled.length);
  return peopled.map(([name, workers]) => {
    const task: SiteTask = {
      load,
      memory,
      link: siteLinks.get(name) ?? FREE_LINK,
      hops,
      workers,
      depth: stages === "auto" ? null : Math.min(stages, workers.length),
      share,
    };
    const all = groupingsOf(task);
    const exact = isSmall(task) && candidates.size <= ALL_SETS;
    const groupings = exact ? all : usefulGroupings(all, load.microbatches);
    const site: Site = { name, task, wide: wideLinks.get(name) ?? FREE_LINK, groupings };
    return hops === 2 ? site : { ...site, alone: withHops(site, 2) };
  });
}

function withHops(site: Site, hops: SumHops): Site {
  const task = { ...site.task, hops };
  return { ...site, task, groupings: site.groupings.map(({ groups }) => groupingOf(task, groups)) };
}

/** Of a group's pipelines the one that does most in `seconds`, and does it soonest. */
function bestPipeline(front: readonly Pipeline[], seconds: number): Pipeline {
  return front.reduce((a, b) => {
    const [ofA, ofB] = [microbatchesIn(a, seconds), microbatchesIn(b, seconds)];
    if (ofA !== ofB) return ofB > ofA ? b : a;
    return pipelineSeconds(b, ofB) < pipelineSeconds(a, ofA) ? b : a;
  });
}

interface Member {
  readonly site: Site;
  readonly pipeline: Pipeline;
  readonly share: number;
}

function planOf(load: Load, { sites, seconds }: Choice, workers: readonly Candidate[]): Plan {
  const pipelines = sites.map((site) => {
    const { groups, after } = bestGrouping(site, seconds);
    return groups
      .map((front) => bestPipeline(front, seconds - after))
      .filter((pipeline) => microbatchesIn(pipeline, seconds - after) > 0)
      .map((pipeline) => ({ site, pipeline }));
  });
  const members = shared(load, pipelines);
  let next = 0;
  const replicas = members.map(({ site, pipeline, share }) => ({
    site: site.name,
    stages: stagesOf(pipeline),
    microbatches: Array.from({ length: share }, () => next++),
  }));
  const placed = new Set(replicas.flatMap(({ stages }) => stages.map(({ worker }) => worker)));
  return { replicas, spare: workers.map(({ id }) => id).filter((id) => !placed.has(id)) };
}

/** The replicas that get a share, in plan order: of a site the deepest leads, as its stages' parts are smallest. */
function shared(load: Load, bySite: readonly { site: Site; pipeline: Pipeline }[][]): Member[] {
  const sharers = bySite.flatMap((ofSite) => {
    const [first] = ofSite;
    if (!first) return [];
    const { after } = groupingOf(
      first.site.task,
      ofSite.map(({ pipeline }) => [pipeline]),
    );
    return ofSite
      .map(({ site, pipeline }) => ({ site, pipeline, after, fill: pipeline.fill, period: pipeline.period }))
      .sort(
        (a, b) =>
          b.pipeline.workers.length - a.pipeline.workers.length || a.period - b.period || a.fill - b.fill,
      );
  });
  const shares = shareMicrobatches(sharers, load.microbatches);
  return sharers.map((sharer, i) => ({ ...sharer, share: shares[i]! })).filter(({ share }) => share > 0);
}

function stagesOf({ workers, blocks }: Pipeline): { worker: string; first: number; last: number }[] {
  let first = 0;
  return workers.map(({ id }, i) => {
    const last = first + blocks[i]!;
    const stage = { worker: id, first, last };
    first = last;
    return stage;
  });
}
