// The hierarchical reducer: sums a gradient over all replicas of a plan, first inside each site, then across
// sites by reduce-scatter and all-gather between the sites' lead replicas, then back inside each site.
// It knows segments and workers, not stages of any particular cut: replicas may cut the model differently.
// Not here: the links that carry the sums (web/link), or division by the token count (the optimizer's scale).
import type { ModelConfig } from "../model/config.ts";
import {
  ownedSegment,
  parameterSpace,
  stageRange,
  type ParameterSpace,
  type Segment,
} from "../model/parameters.ts";
import { share } from "../plan/partition.ts";
import type { Codec } from "./codec.ts";
import { leadReplicas, positionOf, type Plan, type Replica } from "../plan/plan.ts";

/** Moves values of one step between workers. A segment's offset tells apart what one worker sends. */
export interface SegmentTransport {
  /** They arrive as the codec leaves them; by default as they are. */
  send(to: string, kind: "reduce" | "result", offset: number, values: Float32Array, codec?: Codec): void;
  /** Sends a result, encoded once, to each of `to`; returns what they will decode, for the sender to use as well. */
  publish(to: readonly string[], offset: number, values: Float32Array, codec: Codec): Float32Array;
  receive(from: string, kind: "reduce" | "result", offset: number): Promise<Float32Array>;
}

interface Holding {
  readonly worker: string;
  readonly segment: Segment;
}

/**
 * Sums `gradient` in place over all replicas. Every worker of the plan calls this for the same step.
 *
 * Sums are taken in plan order in f32, whatever order they arrive in, and each sum is taken on one worker and
 * copied to the others, so all replicas end with bit-identical values. Between sites terms and sums travel as
 * `codec`; who takes a sum goes on with what the others decode of it.
 *
 * @param gradient values of the segment that `worker` owns, [segment.end - segment.start]
 */
export async function sumOverReplicas(
  model: ModelConfig,
  plan: Plan,
  worker: string,
  gradient: Float32Array,
  codec: Codec,
  transport: SegmentTransport,
): Promise<void> {
  const space = parameterSpace(model);
  const holdings = (replica: Replica): Holding[] => holdingsOf(model, space, replica);
  const { replica: index, stage } = positionOf(plan, worker)!;
  const replica = plan.replicas[index]!;
  const mine = holdings(replica)[stage]!.segment;
  const slice = ({ start, end }: Segment) => gradient.subarray(start - mine.start, end - mine.start);

  const leads = leadReplicas(plan);
  const lead = leads.find(({ site }) => site === replica.site)!;
  if (replica !== lead) {
    const parts = overlaps(holdings(lead), mine);
    for (const part of parts) transport.send(part.worker, "reduce", part.segment.start, slice(part.segment));
    await Promise.all(
      parts.map(async (part) => {
        slice(part.segment).set(await transport.receive(part.worker, "result", part.segment.start));
      }),
    );
    return;
  }

  const followers = plan.replicas.filter(({ site }, i) => site === replica.site && plan.replicas[i] !== lead);
  const followerParts = followers.flatMap((follower) => overlaps(holdings(follower), mine));
  for (const part of followerParts) {
    add(slice(part.segment), await transport.receive(part.worker, "reduce", part.segment.start));
  }

  const leadHoldings = leads.map(holdings);
  await Promise.all(
    commonSegments(leadHoldings, mine).map((segment) =>
      sumAcrossSites(leadHoldings, worker, segment, slice, codec, transport),
    ),
  );

  for (const part of followerParts) {
    transport.send(part.worker, "result", part.segment.start, slice(part.segment));
  }
}

/** Reduce-scatter, then all-gather, of one segment that each of `leads` holds on a single worker. */
async function sumAcrossSites(
  leads: Holding[][],
  worker: string,
  segment: Segment,
  slice: (segment: Segment) => Float32Array,
  codec: Codec,
  transport: SegmentTransport,
): Promise<void> {
  const parts = leads.map((holdings, i) => ({
    owner: overlaps(holdings, segment)[0]!.worker,
    segment: {
      start: segment.start + share(segment.end - segment.start, i, leads.length),
      end: segment.start + share(segment.end - segment.start, i + 1, leads.length),
    },
  }));
  const own = parts.find(({ owner }) => owner === worker)!;
  const others = parts.filter((part) => part !== own);
  for (const part of others) {
    transport.send(part.owner, "reduce", part.segment.start, slice(part.segment), codec);
  }

  const terms = await Promise.all(
    parts.map((part) =>
      part === own ? slice(own.segment).slice() : transport.receive(part.owner, "reduce", own.segment.start),
    ),
  );
  const sum = slice(own.segment);
  sum.set(terms[0]!);
  for (const term of terms.slice(1)) add(sum, term);

  const owners = others.map(({ owner }) => owner);
  sum.set(transport.publish(owners, own.segment.start, sum, codec));
  await Promise.all(
    others.map(async (part) => {
      slice(part.segment).set(await transport.receive(part.owner, "result", part.segment.start));
    }),
  );
}

/** What each stage of a replica owns, in order. */
function holdingsOf(model: ModelConfig, space: ParameterSpace, { stages }: Replica): Holding[] {
  return stages.map(({ worker, first, last }) => ({
    worker,
    segment: ownedSegment(space, stageRange(model, first, last)),
  }));
}

/** The parts of `segment` by who holds them. */
function overlaps(holdings: Holding[], segment: Segment): Holding[] {
  return holdings
    .map(({ worker, segment: held }) => ({
      worker,
      segment: { start: Math.max(held.start, segment.start), end: Math.min(held.end, segment.end) },
    }))
    .filter(({ segment: { start, end } }) => start < end);
}

/** Cuts `segment` wherever any of the replicas cuts, so that each piece lies on one worker of every replica. */
function commonSegments(replicas: Holding[][], segment: Segment): Segment[] {
  const cuts = new Set(replicas.flat().flatMap(({ segment: { start, end } }) => [start, end]));
  const inside = [...cuts].filter((cut) => cut > segment.start && cut < segment.end).sort((a, b) => a - b);
  const bounds = [segment.start, ...inside, segment.end];
  return bounds.slice(1).map((end, i) => ({ start: bounds[i]!, end }));
}

function add(sum: Float32Array, term: Float32Array): void {
  for (let i = 0; i < sum.length; i++) sum[i] = sum[i]! + term[i]!;
}
