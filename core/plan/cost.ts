// What a step costs: the formulas that plans are weighed with while they are searched for. All in seconds, bytes and
// FLOPs of one microbatch. The optimizer, the coordinator's answers, and encoding are not counted.
// Not here: the search (planner.ts), the exact times of a plan that was chosen (predict.ts, timeline.ts).
//
// A microbatch takes a stage W = forward + backward. 1F1B with S stages, m microbatches and a hop of h seconds one way
// takes at most
//     sum of W + 2 (S - 1) h  +  (m - 1) (max(largest W, time on the wire) + 2 h (S - 1) / S)
// fill and drain: the first microbatch's way there and back; then one period each. 1F1B has as many microbatches under
// way as there are stages (Narayanan et al., "PipeDream", SOSP 2019), so a cycle of the order over stages s..t takes
// the mean of their W and of the 2 (t - s) hops between them: none takes longer than that period (the cycle means of a
// timed event graph: Baccelli et al., "Synchronization and Linearity", 1992). test/core/timeline.test.ts holds it against
// the exact times.
import type { RunConfig } from "../model/config.ts";
import { parameterSpace } from "../model/parameters.ts";
import { encodedBytes, type SiteCodec } from "../reduce/codec.ts";
import { leadTakesAll } from "../reduce/holdings.ts";
import { blockFlops, headFlops } from "./partition.ts";
import { fragmentOf } from "./rounds.ts";
import type { LinkSpeed, WorkerSpeed } from "./speed.ts";
import { isGathered, microbatchBytes, wideCodec } from "./traffic.ts";

/** What of a run's configuration costs depend on. */
export interface Load {
  readonly blocks: number;
  readonly microbatches: number;
  /** Tokens of a step. */
  readonly tokens: number;
  /** FLOPs of the forward of a block, and of the head. */
  readonly block: number;
  readonly head: number;
  /** Activations on a hop. */
  readonly activations: number;
  /** Values of the model, and of the largest part that cannot be cut: an end and a block. */
  readonly values: number;
  readonly largestPart: number;
  /** How gradients travel between a site's replicas. */
  readonly siteGradients: SiteCodec;
  /** A tied embedding in f32; 0 when not tied. */
  readonly tied: number;
  readonly strategy: RunConfig["strategy"];
  /** Values that an exchange between sites is about: of the model, or of each fragment. */
  readonly exchanged: readonly number[];
}

export function loadOf(config: RunConfig): Load {
  const { model, batch, microbatch, strategy, siteGradients } = config;
  const { tensors, size } = parameterSpace(model);
  const tokens = microbatch * model.context;
  const elements = (of: (part: number | "embed" | "head") => boolean) =>
    tensors.filter(({ part }) => of(part)).reduce((sum, tensor) => sum + tensor.size, 0);
  const end = Math.max(
    elements((part) => part === "embed"),
    elements((part) => part === "head"),
  );
  return {
    blocks: model.layers,
    microbatches: batch / microbatch,
    tokens: batch * model.context,
    block: tokens * blockFlops(model),
    head: tokens * headFlops(model),
    activations: microbatchBytes(config),
    values: size,
    largestPart: end + elements((part) => part === 0),
    siteGradients,
    tied: model.tied ? 4 * model.vocab * model.width : 0,
    strategy,
    exchanged: exchangedValues(config),
  };
}

function exchangedValues({ model, strategy }: RunConfig): number[] {
  const { tensors, size } = parameterSpace(model);
  if (strategy.kind === "sync") return [size];
  const { fragments } = strategy;
  const values = Array.from({ length: fragments }, () => 0);
  // The padding behind a tensor goes with it.
  for (const [i, { part, offset }] of tensors.entries()) {
    values[fragmentOf(part, fragments)]! += (tensors[i + 1]?.offset ?? size) - offset;
  }
  return values;
}

/** A stage of `blocks` blocks: the head's backward is part of its forward, as in the engine. */
export function forwardSeconds(load: Load, speed: WorkerSpeed, blocks: number, head: boolean): number {
  return speed.overhead + (blocks * load.block) / speed.block + (head ? headSeconds(load, speed) : 0);
}

export function backwardSeconds(load: Load, speed: WorkerSpeed, blocks: number): number {
  return speed.overhead + (2 * blocks * load.block) / speed.block;
}

/** Projection, loss, and the backward of both. */
export const headSeconds = (load: Load, speed: WorkerSpeed): number => (3 * load.head) / speed.head;

/** A stage's W, apart from its blocks; and what each of its blocks adds. */
export const fixedSeconds = (load: Load, speed: WorkerSpeed, head: boolean): number =>
  2 * speed.overhead + (head ? headSeconds(load, speed) : 0);
export const blockSeconds = (load: Load, speed: WorkerSpeed): number => (3 * load.block) / speed.block;

/** The whole model on one worker, a microbatch. */
export const aloneSeconds = (load: Load, speed: WorkerSpeed): number =>
  fixedSeconds(load, speed, true) + load.blocks * blockSeconds(load, speed);

/** `bytes` on a link that carries nothing else. */
export const transferSeconds = ({ bytesPerSecond, delay }: LinkSpeed, bytes: number): number =>
  bytes / bytesPerSecond + delay;

/** A pipeline that takes `fill + (m - 1) * period` for m microbatches. */
export interface PipelineCost {
  readonly fill: number;
  readonly period: number;
}

/** @param work W of each stage; `sum` of them and the `largest` */
export function pipelineCost(
  load: Load,
  link: LinkSpeed,
  stages: number,
  { sum, largest }: { readonly sum: number; readonly largest: number },
): PipelineCost {
  if (stages === 1) return { fill: sum, period: largest };
  const wire = load.activations / link.bytesPerSecond;
  const roundTrips = 2 * (stages - 1) * transferSeconds(link, load.activations);
  // A tied embedding's gradient goes from the last stage to the first, its new values come back.
  const tied = load.tied > 0 ? 2 * transferSeconds(link, load.tied) : 0;
  return { fill: sum + roundTrips + tied, period: Math.max(largest, wire) + roundTrips / stages };
}

export const pipelineSeconds = ({ fill, period }: PipelineCost, microbatches: number): number =>
  microbatches === 0 ? 0 : fill + (microbatches - 1) * period;

/** Most microbatches that a pipeline does in `seconds`. */
export const microbatchesIn = ({ fill, period }: PipelineCost, seconds: number): number =>
  seconds < fill ? 0 : Math.floor((seconds - fill) / period) + 1;

/**
 * How often a worker sends, or takes, most of its gradient when a site's replicas sum: reduce-scatter and all-gather.
 * Where sites sum each step, the lead replica gathers the sums and scatters those of all sites in between, unless it
 * takes them all.
 */
export type SumHops = 2 | 4;
export const sumHops = (strategy: RunConfig["strategy"], sites: number): SumHops =>
  strategy.kind === "sync" && sites > 1 ? 4 : 2;

/**
 * The sum over a site's replicas. The largest segment is at least an even share of the model on the shallowest
 * replica, and at least an end of the model and a block.
 */
export function siteSumSeconds(
  load: Load,
  link: LinkSpeed,
  hops: SumHops,
  replicas: number,
  fewestStages: number,
): number {
  const segment = Math.max(load.values / fewestStages, load.largestPart);
  return siteSumSecondsOf(load.siteGradients, link, hops, replicas, segment);
}

/** @param segment values of the largest one that a worker of the site holds */
export function siteSumSecondsOf(
  codec: SiteCodec,
  link: LinkSpeed,
  hops: SumHops,
  replicas: number,
  segment: number,
): number {
  if (replicas < 2) return 0;
  const others = replicas - 1;
  return hops === 4 && leadTakesAll(replicas, segment)
    ? 2 * transferSeconds(link, encodedBytes(codec, others * segment))
    : hops * transferSeconds(link, encodedBytes(codec, (others / replicas) * segment));
}

/** A site's line to the others is theirs together: the slowest counts, and the largest delay. */
export function slowestOf(links: readonly LinkSpeed[]): LinkSpeed {
  return {
    bytesPerSecond: Math.min(...links.map(({ bytesPerSecond }) => bytesPerSecond)),
    delay: Math.max(...links.map(({ delay }) => delay)),
  };
}

/**
 * What exchanges between sites add to a step that takes `step` seconds without. Strategy `sync` waits for one each
 * step; `rounds` for what `overlap` steps do not hide of each fragment's, once in `inner` steps. (That a site's other
 * replicas are told what was agreed on is not counted: it is 1 / (2 inner) of what they sum each step.)
 */
export function exchangeSeconds({ strategy, exchanged }: Load, wide: readonly LinkSpeed[], step: number) {
  const [every, free] = strategy.kind === "sync" ? [1, 0] : [strategy.inner, strategy.overlap * step];
  let [exposed, hidden] = [0, 0];
  for (const values of exchanged) {
    const each = oneExchangeSeconds(strategy, wide, values);
    exposed += Math.max(0, each - free) / every;
    hidden += Math.min(each, free) / every;
  }
  return { exposed, hidden };
}

/**
 * One exchange of so many values. Reduce-scatter, then all-gather: every site sends, and receives, all but its own part
 * twice. Of two sites, and in `rounds` with 1 or 2 bits, every site sends its term to all others; there are no sums to send
 * back.
 *
 * @param last the run's last exchange
 */
export function oneExchangeSeconds(
  strategy: RunConfig["strategy"],
  wide: readonly LinkSpeed[],
  values: number,
  last = false,
): number {
  const sites = wide.length;
  if (sites < 2) return 0;
  const link = slowestOf(wide);
  const bytes = encodedBytes(wideCodec(strategy, last), values);
  return isGathered(strategy, sites, last)
    ? transferSeconds(link, (sites - 1) * bytes)
    : 2 * transferSeconds(link, ((sites - 1) / sites) * bytes);
}
