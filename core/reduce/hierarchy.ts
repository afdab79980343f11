// The hierarchical reducer: sums a gradient over all replicas of a plan, first inside each site, then across
// sites by reduce-scatter and all-gather between the sites' lead replicas, then back inside each site.
// It knows segments and workers, not stages of any particular cut: replicas may cut the model differently.
// Not here: the links that carry the sums (web/link), or division by the token count (the optimizer's scale).
import type { ModelConfig } from "../model/config.ts";
import { parameterSpace, type Segment } from "../model/parameters.ts";
import { leadReplicas, positionOf, type Plan, type Replica } from "../plan/plan.ts";
import type { Codec, SiteCodec } from "./codec.ts";
import type { UnsaidGradients } from "./error-feedback.ts";
import { commonSegments, holdingsOf, overlaps, wideSitesOf } from "./holdings.ts";
import { add, sumAcrossSites } from "./sum-across-sites.ts";
import { decoded, encoded, type SegmentTransport } from "./transport.ts";

/** How gradients travel, inside a site and between sites. */
export interface GradientCodecs {
  readonly site: SiteCodec;
  readonly wide: Codec;
  /** Of the lead replica's stages, where the wide codec leaves out so much that it has to be said later. */
  readonly unsaid: UnsaidGradients | null;
}

/**
 * Sums `gradient` in place over all replicas. Every worker of the plan calls this for the same step.
 *
 * Sums are taken in plan order in f32, whatever order they arrive in, and each sum is taken on one worker and
 * copied to the others, so all replicas end with bit-identical values: who takes a sum goes on with what the others
 * decode of it.
 *
 * @param gradient values of the segment that `worker` owns, [segment.end - segment.start]
 */
export async function sumOverReplicas(
  model: ModelConfig,
  plan: Plan,
  worker: string,
  gradient: Float32Array,
  { site, wide, unsaid }: GradientCodecs,
  transport: SegmentTransport,
): Promise<void> {
  const space = parameterSpace(model);
  const holdings = (replica: Replica) => holdingsOf(model, replica, space);
  const { replica: index, stage } = positionOf(plan, worker)!;
  const replica = plan.replicas[index]!;
  const mine = holdings(replica)[stage]!.segment;
  const slice = ({ start, end }: Segment) => gradient.subarray(start - mine.start, end - mine.start);

  const leads = leadReplicas(plan);
  const lead = leads.find(({ site }) => site === replica.site)!;
  if (replica !== lead) {
    const parts = overlaps(holdings(lead), mine);
    for (const part of parts) {
      transport.send(part.worker, "reduce", part.segment.start, encoded(site, slice(part.segment)));
    }
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

  const sites = wideSitesOf(model, plan);
  await Promise.all(
    commonSegments(sites.holdings, mine).map((segment) =>
      sumAcrossSites(
        sites,
        worker,
        segment,
        slice(segment),
        { codec: wide, ...(unsaid && { feedback: unsaid.of(segment) }) },
        transport,
      ),
    ),
  );

  // In every site, with or without other replicas: all go on with the same bits.
  if (site !== "f32") gradient.set(decoded(encoded(site, gradient)));
  for (const part of followerParts) {
    transport.send(part.worker, "result", part.segment.start, encoded(site, slice(part.segment)));
  }
}
