// One segment of the canonical space, summed or averaged over sites, so that all go on with the same bits. Reduce-scatter,
// then all-gather: each site takes the sum of one part and tells the others, encoded once. Or an all-gather alone: each
// site tells all others its term, and all take the same sum. That is for terms of which most is zero, and for two sites,
// where it is as many bytes, arrives a hop sooner, and rounds nothing twice.
// Not here: what comes before and after inside a site (hierarchy.ts, outer.ts).
import { partOf, type Segment } from "../model/parameters.ts";
import type { Codec } from "./codec.ts";
import { encodeWithFeedback, type Feedback } from "./error-feedback.ts";
import { overlaps, type Holding, type WideSites } from "./holdings.ts";
import { cutByShares, piecesOf } from "./pieces.ts";
import { decoded, encoded, type Encoded, type SegmentTransport } from "./transport.ts";

export interface Terms {
  readonly codec: Codec;
  /** This site's weight, such as its tokens: the result is then the weighted mean, not the sum. */
  readonly weight?: number;
  /** Absent where what is left unsaid is forgotten. */
  readonly feedback?: Feedback;
}

/**
 * Replaces `values` by their sum, or mean, over sites. Every lead worker that holds the segment calls this.
 * Terms are taken in the order of `sites`, in f32, whatever order they arrive in.
 *
 * @param sites `segment` lies on a single worker of each
 * @param values [segment.end - segment.start]
 */
export async function sumAcrossSites(
  sites: WideSites,
  worker: string,
  segment: Segment,
  values: Float32Array,
  terms: Terms,
  transport: SegmentTransport,
): Promise<void> {
  if (sites.holdings.length === 2) {
    return gatherAcrossSites(sites, worker, segment, values, terms, transport);
  }
  const { codec, weight, feedback } = terms;
  const slice = (array: Float32Array, piece: Segment) => partOf(array, segment, piece);
  const owners = ownersOf(sites.holdings, segment);
  const pieces = cutByShares(segment.end - segment.start, sites.shares).flatMap(({ first, end }, i) =>
    piecesOf({ start: segment.start + first, end: segment.start + end }).map((piece) => ({
      owner: owners[i]!,
      piece,
    })),
  );
  const own = pieces.filter(({ owner }) => owner === worker);
  const others = pieces.filter(({ owner }) => owner !== worker);
  for (const { owner, piece } of others) {
    const term = encodeTerm(codec, slice(values, piece), feedback && slice(feedback.terms, piece));
    transport.send(owner, "reduce", piece.start, term);
    sendWeight(transport, owner, piece, weight);
  }

  const takeSum = async (piece: Segment): Promise<void> => {
    const own = slice(values, piece);
    // What other cuts of the model have left here is said at last: nothing is encoded on the way to oneself.
    if (feedback) {
      const unsaid = slice(feedback.terms, piece);
      add(own, unsaid);
      unsaid.fill(0);
    }
    const receive = (owner: string) => transport.receive(owner, "reduce", piece.start, own.length);
    const said = await gathered(owners, worker, own, receive);
    const sum = sumOf(said, await weightsOf(transport, owners, worker, piece, weight));
    own.set(sum);
    if (owners.length === 1) return;
    const result = encodeTerm(codec, sum, feedback && slice(feedback.sums, piece));
    for (const owner of owners.filter((owner) => owner !== worker)) {
      transport.send(owner, "result", piece.start, result);
    }
    own.set(decoded(result));
  };
  const hearSum = async (owner: string, piece: Segment): Promise<void> => {
    const sum = slice(values, piece);
    sum.set(await transport.receive(owner, "result", piece.start, sum.length));
  };
  await Promise.all([
    ...own.map(({ piece }) => takeSum(piece)),
    ...others.map(({ owner, piece }) => hearSum(owner, piece)),
  ]);
}

/**
 * Replaces `values` by the sum, or mean, over sites of what each says of its own. Every lead worker that holds the
 * segment calls this. Results are the same everywhere to the last bit: JavaScript's arithmetic is, and terms are taken in
 * the order of `sites`. Of feedback only that of terms has a part in it.
 */
export async function gatherAcrossSites(
  sites: WideSites,
  worker: string,
  segment: Segment,
  values: Float32Array,
  { codec, weight, feedback }: Terms,
  transport: SegmentTransport,
): Promise<void> {
  const owners = ownersOf(sites.holdings, segment);
  const gather = async (piece: Segment): Promise<void> => {
    const sum = partOf(values, segment, piece);
    const own = encodeTerm(codec, sum, feedback && partOf(feedback.terms, segment, piece));
    for (const owner of owners.filter((owner) => owner !== worker)) {
      transport.send(owner, "reduce", piece.start, own);
      sendWeight(transport, owner, piece, weight);
    }
    const receive = (owner: string) => transport.receive(owner, "reduce", piece.start, sum.length);
    const terms = await gathered(owners, worker, decoded(own), receive);
    sum.set(sumOf(terms, await weightsOf(transport, owners, worker, piece, weight)));
  };
  await Promise.all(piecesOf(segment).map(gather));
}

/** The worker of each site that holds the segment. */
function ownersOf(sites: readonly Holding[][], segment: Segment): string[] {
  return sites.map((holdings) => overlaps(holdings, segment)[0]!.worker);
}

/** What there is of each, in order: this worker's own, and what the others send. */
export function gathered<T>(
  owners: readonly string[],
  worker: string,
  own: T,
  receive: (owner: string) => Promise<T>,
): Promise<T[]> {
  return Promise.all(owners.map((owner) => (owner === worker ? own : receive(owner))));
}

/** Nothing, where sums are not weighted. */
function sendWeight(
  transport: SegmentTransport,
  to: string,
  { start }: Segment,
  weight: number | undefined,
): void {
  if (weight !== undefined) transport.send(to, "weight", start, encoded("f32", Float32Array.of(weight)));
}

/** Of each term; undefined where sums are not weighted. */
async function weightsOf(
  transport: SegmentTransport,
  owners: readonly string[],
  worker: string,
  { start }: Segment,
  weight: number | undefined,
): Promise<number[] | undefined> {
  if (weight === undefined) return undefined;
  const receive = async (owner: string) => (await transport.receive(owner, "weight", start, 1))[0]!;
  return gathered(owners, worker, weight, receive);
}

/** Without a residual, what the encoding leaves out is forgotten. */
function encodeTerm(codec: Codec, values: Float32Array, residual?: Float32Array): Encoded {
  return residual ? encodeWithFeedback(codec, values, residual) : encoded(codec, values);
}

/** Sites that go on from what another trained weigh nothing; where all do, they count alike. */
function weightedMean(terms: readonly Float32Array[], weights: readonly number[]): Float32Array {
  const total = weights.reduce((all, weight) => all + weight, 0);
  const mean = new Float32Array(terms[0]!.length);
  terms.forEach((term, t) => {
    const factor = total > 0 ? weights[t]! / total : 1 / terms.length;
    for (let i = 0; i < mean.length; i++) mean[i] = mean[i]! + factor * term[i]!;
  });
  return mean;
}

/** In their order, a new array; with weights their mean. */
export function sumOf(terms: readonly Float32Array[], weights?: readonly number[]): Float32Array {
  if (weights) return weightedMean(terms, weights);
  const sum = terms[0]!.slice();
  for (const term of terms.slice(1)) add(sum, term);
  return sum;
}

function add(sum: Float32Array, term: Float32Array): void {
  for (let i = 0; i < sum.length; i++) sum[i] = sum[i]! + term[i]!;
}
