// One segment of the canonical space, summed or averaged over sites, so that all go on with the same bits. Reduce-scatter,
// then all-gather: each site takes the sum of one part and tells the others, encoded once. Or, for terms of which most is
// zero, an all-gather alone: each site tells all others its term, and all take the same mean.
// Not here: what comes before and after inside a site (hierarchy.ts, outer.ts).
import type { Segment } from "../model/parameters.ts";
import { cutByShares } from "../plan/wide-shares.ts";
import type { Codec } from "./codec.ts";
import { encodeWithFeedback, type Feedback } from "./error-feedback.ts";
import { overlaps, type Holding, type WideSites } from "./holdings.ts";
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
  { codec, weight, feedback }: Terms,
  transport: SegmentTransport,
): Promise<void> {
  const parts = cutByShares(segment.end - segment.start, sites.shares).map(({ first, end }, i) => ({
    owner: overlaps(sites.holdings[i]!, segment)[0]!.worker,
    first,
    end,
    at: segment.start + first,
  }));
  const own = parts.find(({ owner }) => owner === worker)!;
  const others = parts.filter((part) => part !== own);
  for (const { owner, first, end, at } of others) {
    const term = encodeTerm(codec, values.subarray(first, end), feedback?.terms.subarray(first, end));
    transport.send(owner, "reduce", at, term);
    if (weight !== undefined) transport.send(owner, "weight", at, encoded("f32", Float32Array.of(weight)));
  }

  const sum = values.subarray(own.first, own.end);
  const ownTerm = sum.slice();
  // What other cuts of the model have left here is said at last: nothing is encoded on the way to oneself.
  if (feedback) {
    const unsaid = feedback.terms.subarray(own.first, own.end);
    add(ownTerm, unsaid);
    unsaid.fill(0);
  }
  const terms = await Promise.all(
    parts.map(({ owner }) => (owner === worker ? ownTerm : transport.receive(owner, "reduce", own.at))),
  );
  if (weight === undefined) {
    sum.set(terms[0]!);
    for (const term of terms.slice(1)) add(sum, term);
  } else {
    const weights = await Promise.all(
      parts.map(async ({ owner }) =>
        owner === worker ? weight : (await transport.receive(owner, "weight", own.at))[0]!,
      ),
    );
    setWeightedMean(sum, terms, weights);
  }

  if (others.length === 0) return;
  const result = encodeTerm(codec, sum, feedback?.sums.subarray(own.first, own.end));
  for (const { owner } of others) transport.send(owner, "result", own.at, result);
  sum.set(decoded(result));
  await Promise.all(
    others.map(async ({ owner, first, at }) => {
      values.set(await transport.receive(owner, "result", at), first);
    }),
  );
}

/**
 * The mean over sites of what each says of its values, weighted by `weight`. Every lead worker that holds the segment
 * calls this. The means are the same everywhere to the last bit: JavaScript's arithmetic is, and terms are taken in the
 * order of `sites`.
 *
 * @param unsaid is set to what this site's encoding leaves out
 */
export async function gatherAcrossSites(
  sites: readonly Holding[][],
  worker: string,
  { start, end }: Segment,
  values: Float32Array,
  {
    codec,
    weight,
    unsaid,
  }: { readonly codec: Codec; readonly weight: number; readonly unsaid: Float32Array },
  transport: SegmentTransport,
): Promise<Float32Array> {
  const owners = sites.map((holdings) => overlaps(holdings, { start, end })[0]!.worker);
  unsaid.fill(0);
  const own = encodeWithFeedback(codec, values, unsaid);
  for (const owner of owners.filter((owner) => owner !== worker)) {
    transport.send(owner, "reduce", start, own);
    transport.send(owner, "weight", start, encoded("f32", Float32Array.of(weight)));
  }
  const [terms, weights] = await Promise.all([
    Promise.all(
      owners.map((owner) => (owner === worker ? decoded(own) : transport.receive(owner, "reduce", start))),
    ),
    Promise.all(
      owners.map(async (owner) =>
        owner === worker ? weight : (await transport.receive(owner, "weight", start))[0]!,
      ),
    ),
  ]);
  const mean = new Float32Array(end - start);
  setWeightedMean(mean, terms, weights);
  return mean;
}

/** Without a residual, what the encoding leaves out is forgotten. */
function encodeTerm(codec: Codec, values: Float32Array, residual?: Float32Array): Encoded {
  return residual ? encodeWithFeedback(codec, values, residual) : encoded(codec, values);
}

function setWeightedMean(
  sum: Float32Array,
  terms: readonly Float32Array[],
  weights: readonly number[],
): void {
  const total = weights.reduce((all, weight) => all + weight, 0);
  sum.fill(0);
  terms.forEach((term, t) => {
    const factor = weights[t]! / total;
    for (let i = 0; i < sum.length; i++) sum[i] = sum[i]! + factor * term[i]!;
  });
}

export function add(sum: Float32Array, term: Float32Array): void {
  for (let i = 0; i < sum.length; i++) sum[i] = sum[i]! + term[i]!;
}
