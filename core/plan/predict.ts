// What a plan will take: its steps played through exactly, the exchanges added, and what bounds it.
// Not here: the search for a plan (planner.ts). The optimizer, encoding and the coordinator's answers are not counted.
import type { RunConfig } from "../model/config.ts";
import { parameterSpace } from "../model/parameters.ts";
import { holdingsOf } from "../reduce/holdings.ts";
import {
  aloneSeconds,
  backwardSeconds,
  exchangeSeconds,
  forwardSeconds,
  loadOf,
  siteSumSecondsOf,
  sumHops,
  transferSeconds,
  type Load,
} from "./cost.ts";
import { candidatesOf, FREE_LINK, type Measured } from "./measured.ts";
import type { SiteWorkers } from "./partition.ts";
import { orderOf } from "./order.ts";
import { leadReplicas, type Plan, type Replica } from "./plan.ts";
import type { LinkSpeed, WorkerSpeed } from "./speed.ts";
import { endOf, playPipeline, type OpKind, type PipelineTimes, type TimedOp } from "./timeline.ts";
import { weightsShare } from "./work.ts";

/** Seconds of a step by what they are spent on, along the way that takes longest. */
export interface StepParts {
  /** The busiest stage at work. */
  readonly stage: number;
  /** That stage waiting for the pipeline to fill and to drain, or for stages that are uneven. */
  readonly fillAndDrain: number;
  /** More of that because frames take time, and a tied embedding's way between first and last stage. */
  readonly activations: number;
  /** Gradients summed over the site's replicas. */
  readonly siteSum: number;
  /** What of the exchange between sites is not hidden behind work. */
  readonly exchange: number;
}

export interface ReplicaPrediction {
  /** From the step's beginning to the pipeline's last operation. */
  readonly seconds: number;
  /** Of each stage at work. */
  readonly busy: readonly number[];
}

export interface Prediction {
  readonly stepSeconds: number;
  readonly tokensPerSecond: number;
  readonly parts: StepParts;
  /** What bounds the step, in words, and the busiest stage's worker on the way that takes longest. */
  readonly bound: string;
  readonly busiest: string;
  /** Of the exchange between sites, hidden behind work; seconds a step. */
  readonly hidden: number;
  /** Tokens/s of all workers together, each training alone on a copy of the model, memory aside; and the share of it. */
  readonly upperBound: number;
  readonly ratio: number;
  /** In plan order. */
  readonly replicas: readonly ReplicaPrediction[];
}

/** A run's plan, and what is known of the machines that it is for. */
export interface PlannedRun {
  readonly config: RunConfig;
  readonly plan: Plan;
  readonly sites: SiteWorkers;
  readonly measured: Measured;
}

/** Null when no worker's speed is known. Shares and cuts may be any: not only those that the planner would choose. */
export function predict(run: PlannedRun): Prediction | null {
  const known = knownOf(run);
  if (!known) return null;
  const { plan } = run;
  const { load, speeds } = known;
  const ways = plan.replicas.map((replica) => wayOf(known, replica));
  const { step, exchange, after } = wholeStep(run, known, ways);
  const ends = ways.map(({ total }, i) => total + after[i]!);
  const slowest = ends.indexOf(Math.max(...ends));
  const replica = plan.replicas[slowest]!;
  const way = ways[slowest]!;
  const stage = Math.max(...way.busy);
  const times = { ...timesOf(known, replica), wire: 0, delay: 0 };
  const withoutLinks = endOf(playPipeline(ordersOf(replica), times));
  const parts: StepParts = {
    stage,
    // Sums are rounded in another order there.
    fillAndDrain: Math.max(0, withoutLinks - stage),
    activations: Math.max(0, way.total - withoutLinks),
    siteSum: after[slowest]!,
    exchange: exchange.exposed,
  };
  const busiest = replica.stages[way.busy.indexOf(stage)]!.worker;
  const upperBound = [...speeds.values()].reduce(
    (sum, speed) => sum + load.tokens / load.microbatches / aloneSeconds(load, speed),
    0,
  );
  const tokensPerSecond = load.tokens / step;
  return {
    stepSeconds: step,
    tokensPerSecond,
    parts,
    bound: describeBound(parts, busiest, replica.site),
    busiest,
    hidden: exchange.hidden,
    upperBound,
    ratio: tokensPerSecond / upperBound,
    replicas: ways.map(({ seconds, busy }) => ({ seconds, busy })),
  };
}

/** Seconds of a step of pipelines of the run's workers, sums apart; [] when no worker's speed is known. */
export function replicaSeconds(run: PlannedRun, replicas: readonly Replica[]): number[] {
  const known = knownOf(run);
  return known ? replicas.map((replica) => wayOf(known, replica).total) : [];
}

/** One step of a replica, operation by operation: a list a stage. Empty when no worker's speed is known. */
export function timelineOf(run: PlannedRun, replica: Replica): TimedOp[][] {
  const known = knownOf(run);
  return known ? playPipeline(ordersOf(replica), timesOf(known, replica)) : [];
}

interface Known {
  readonly config: RunConfig;
  readonly load: Load;
  readonly speeds: ReadonlyMap<string, WorkerSpeed>;
  readonly siteLinks: ReadonlyMap<string, LinkSpeed>;
  /** By shape: large clusters have many pipelines that are alike. */
  readonly ways: Map<string, Way>;
}

function knownOf({ config, sites, measured }: PlannedRun): Known | null {
  const candidates = candidatesOf(sites, measured);
  if (!candidates) return null;
  const speeds = new Map([...candidates.values()].flat().map(({ id, speed }) => [id, speed]));
  return { config, load: loadOf(config), speeds, siteLinks: measured.siteLinks, ways: new Map() };
}

interface Way extends ReplicaPrediction {
  /** With a tied embedding's way between first and last stage. */
  readonly total: number;
}

function wayOf(known: Known, replica: Replica): Way {
  const shape = shapeOf(known, replica);
  let way = known.ways.get(shape);
  if (!way) known.ways.set(shape, (way = playedWay(known, replica)));
  return way;
}

/** All that a replica's times depend on. */
function shapeOf({ speeds, siteLinks }: Known, { site, stages, microbatches, zeroBubble }: Replica): string {
  const link = siteLinks.get(site) ?? FREE_LINK;
  const ofStages = stages.map(({ worker, first, last }) => {
    const { block, head, overhead } = speeds.get(worker)!;
    return [first, last, block, head, overhead];
  });
  return [link.bytesPerSecond, link.delay, microbatches.length, zeroBubble ?? false, ...ofStages].join();
}

function playedWay(known: Known, replica: Replica): Way {
  const { load, siteLinks } = known;
  const timeline = playPipeline(ordersOf(replica), timesOf(known, replica));
  const seconds = endOf(timeline);
  const link = siteLinks.get(replica.site) ?? FREE_LINK;
  const tied = load.tied > 0 && replica.stages.length > 1 ? 2 * transferSeconds(link, load.tied) : 0;
  return {
    seconds,
    busy: timeline.map((ops) => ops.reduce((sum, { start, end }) => sum + end - start, 0)),
    total: seconds + tied,
  };
}

/** The slowest site's pipelines and sum, then the exchange; `after` are the sums by replica. */
function wholeStep({ config, plan, measured }: PlannedRun, { load }: Known, ways: readonly Way[]) {
  const leads = leadReplicas(plan);
  const sums = new Map(leads.map(({ site }) => [site, siteSumOf(config, plan, site, measured)]));
  const after = plan.replicas.map(({ site }) => sums.get(site)!);
  const wide = [...sums.keys()].map((site) => measured.wideLinks.get(site) ?? FREE_LINK);
  const step = Math.max(...ways.map(({ total }, i) => total + after[i]!));
  const exchange = exchangeSeconds(load, wide, step);
  return { step: step + exchange.exposed, exchange, after };
}

const ordersOf = (replica: Replica) => replica.stages.map((_, stage) => orderOf(replica, stage));

function timesOf({ config, load, speeds, siteLinks }: Known, { site, stages }: Replica): PipelineTimes {
  const link = siteLinks.get(site) ?? FREE_LINK;
  const share = weightsShare(config.model);
  const byKind = stages.map(({ worker, first, last }): Record<OpKind, number> => {
    const speed = speeds.get(worker)!;
    const forward = forwardSeconds(load, speed, last - first, last === load.blocks);
    const backward = backwardSeconds(load, speed, last - first);
    const computing = backward - speed.overhead;
    const weights = computing * share;
    return {
      forward,
      backward,
      input: speed.overhead + computing - weights,
      weights: speed.overhead + weights,
    };
  });
  return {
    seconds: (stage, kind) => byKind[stage]![kind],
    wire: load.activations / link.bytesPerSecond,
    delay: link.delay,
  };
}

/** The sum of gradients over a site's replicas. */
export function siteSumOf(config: RunConfig, plan: Plan, site: string, { siteLinks }: Measured): number {
  const replicas = plan.replicas.filter((replica) => replica.site === site);
  if (replicas.length < 2) return 0;
  const space = parameterSpace(config.model);
  const largest = replicas
    .flatMap((replica) => holdingsOf(config.model, replica, space))
    .reduce((most, { segment: { start, end } }) => Math.max(most, end - start), 0);
  const hops = sumHops(config.strategy, leadReplicas(plan).length);
  const link = siteLinks.get(site) ?? FREE_LINK;
  return siteSumSecondsOf(config.siteGradients, link, hops, replicas.length, largest);
}

function describeBound(parts: StepParts, busiest: string, site: string): string {
  const words: Record<keyof StepParts, string> = {
    stage: `the work of ${busiest}, the busiest stage of the slowest pipeline`,
    fillAndDrain: `filling and draining the pipeline of ${busiest}: more microbatches a step, or fewer stages, would help`,
    activations: `activations on the links of site ${site}: faster links, larger microbatches or a shorter code for activations would help`,
    siteSum: `summing gradients over the replicas of site ${site}: faster links there would help`,
    exchange: "the exchange between sites: strategy rounds, fewer bits or faster lines would help",
  };
  const entries = Object.entries(parts) as [keyof StepParts, number][];
  return words[entries.reduce((a, b) => (b[1] > a[1] ? b : a))[0]];
}
