// Which worker of a replica holds which range of the canonical flat space, and how ranges that replicas have cut
// differently are cut so that each piece lies on one worker of every replica.
import type { ModelConfig } from "../model/config.ts";
import {
  ownedSegment,
  parameterSpace,
  stageRange,
  type ParameterSpace,
  type Segment,
} from "../model/parameters.ts";
import { leadReplicas, type Plan, type Replica } from "../plan/plan.ts";
import { cutByShares } from "./pieces.ts";

export interface Holding {
  readonly worker: string;
  readonly segment: Segment;
}

/** Sites as a wide sum sees them, in plan order: what the stages of their lead replicas hold, and each one's share. */
export interface WideSites {
  readonly holdings: readonly Holding[][];
  readonly shares: readonly number[];
}

export function wideSitesOf(model: ModelConfig, plan: Plan): WideSites {
  const holdings = leadReplicas(plan).map((replica) => holdingsOf(model, replica));
  return { holdings, shares: plan.wideShares ?? holdings.map(() => 1 / holdings.length) };
}

/** What each stage of a replica owns, in order. */
export function holdingsOf(
  model: ModelConfig,
  { stages }: Replica,
  space: ParameterSpace = parameterSpace(model),
): Holding[] {
  return stages.map(({ worker, first, last }) => ({
    worker,
    segment: ownedSegment(space, stageRange(model, first, last)),
  }));
}

/** The part of `a` that is in `b` as well; empty or reversed where there is none. */
function intersection(a: Segment, b: Segment): Segment {
  return { start: Math.max(a.start, b.start), end: Math.min(a.end, b.end) };
}

/** The parts of `segment` by who holds them. */
export function overlaps(holdings: readonly Holding[], segment: Segment): Holding[] {
  return holdings
    .map(({ worker, segment: held }) => ({ worker, segment: intersection(held, segment) }))
    .filter(({ segment: { start, end } }) => start < end);
}

/** Cuts `segment` wherever any of the replicas cuts, so that each piece lies on one worker of every replica. */
export function commonSegments(replicas: readonly Holding[][], segment: Segment): Segment[] {
  const cuts = new Set(replicas.flat().flatMap(({ segment: { start, end } }) => [start, end]));
  const inside = [...cuts].filter((cut) => cut > segment.start && cut < segment.end).sort((a, b) => a - b);
  const bounds = [segment.start, ...inside, segment.end];
  return bounds.slice(1).map((end, i) => ({ start: bounds[i]!, end }));
}

/** A range that one worker of each replica holds, and which replica takes its sum. */
export interface Part {
  readonly segment: Segment;
  /** By replica. */
  readonly holders: readonly string[];
  readonly taker: number;
}

/** Cuts `segment` so that each of the replicas takes the sum of an even part of whatever it holds. */
export function evenParts(replicas: readonly Holding[][], segment: Segment): Part[] {
  const shares = replicas.map(() => 1 / replicas.length);
  return commonParts(replicas, segment).flatMap(({ segment: { start, end }, holders }) =>
    cutByShares(end - start, shares)
      .map((cut, taker) => ({
        segment: { start: start + cut.first, end: start + cut.end },
        holders,
        taker,
      }))
      .filter(({ segment }) => segment.start < segment.end),
  );
}

/** Cuts `segment` so that the first replica takes all sums. */
export function leadParts(replicas: readonly Holding[][], segment: Segment): Part[] {
  return commonParts(replicas, segment).map((part) => ({ ...part, taker: 0 }));
}

function commonParts(replicas: readonly Holding[][], segment: Segment): Omit<Part, "taker">[] {
  return commonSegments(replicas, segment).map((common) => ({
    segment: common,
    holders: replicas.map((holdings) => overlaps(holdings, common)[0]!.worker),
  }));
}

/** Values that a lead replica's link carries in the time of a hop or so: half a MiB. */
const SMALL_SUM = 2 ** 17;

/**
 * Whether a site's lead replica, which has to hold all sums of its site for the other sites, takes them all itself.
 * That is two hops fewer than to gather and scatter what the others have taken, and R / 2 times the values over its
 * links: none more with two replicas, and little where the model is small.
 * @param values of the largest segment that a worker of the site holds
 */
export function leadTakesAll(replicas: number, values: number): boolean {
  return replicas <= 2 || (replicas - 1) * values <= SMALL_SUM;
}
