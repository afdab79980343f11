// The hierarchical reducer: sums a gradient over all replicas of a plan, first inside each site, then across sites
// between the sites' lead replicas, then back inside each site.
// It knows segments and workers, not stages of any particular cut: replicas may cut the model differently.
// Not here: the links that carry the sums (web/link), or division by the token count (the optimizer's scale).
import type { ModelConfig } from "../model/config.ts";
import { partOf, parameterSpace, type Segment } from "../model/parameters.ts";
import { positionOf, type Plan } from "../plan/plan.ts";
import type { Codec, SiteCodec } from "./codec.ts";
import type { UnsaidGradients } from "./error-feedback.ts";
import {
  commonSegments,
  evenParts,
  holdingsOf,
  leadParts,
  leadTakesAll,
  wideSitesOf,
  type Part,
  type WideSites,
} from "./holdings.ts";
import { sumAcrossSites } from "./sum-across-sites.ts";
import { SiteSum } from "./sum-in-site.ts";
import type { SegmentTransport } from "./transport.ts";

/** How gradients travel, inside a site and between sites. */
export interface GradientCodecs {
  readonly site: SiteCodec;
  readonly wide: Codec;
  /** Of the lead replica's stages, where the wide codec leaves out so much that it has to be said later. */
  readonly unsaid: UnsaidGradients | null;
}

/** Means over tokens, times this, are in the middle of f16's range: up to 64, and to the full 11 bits down to 6e-8. */
const MEAN_UNIT = 2 ** 10;

/**
 * What gradients are multiplied by while they are summed, where any travel as f16, whose range sums over a step's tokens
 * would leave. A power of two, so that nothing else is rounded; the same in every step of a run, as what is left unsaid is
 * in this unit too.
 */
function unitOf({ site, wide }: GradientCodecs, tokens: number): number {
  return site === "f16" || wide === "f16" ? MEAN_UNIT / 2 ** Math.ceil(Math.log2(tokens)) : 1;
}

/** With whom a worker sums what: the same in every step of a generation. */
export interface SumLayout {
  readonly worker: string;
  /** Which of its site's replicas the worker is of. */
  readonly self: number;
  readonly segment: Segment;
  readonly parts: readonly Part[];
  /** Null where one site has all replicas. */
  readonly across: { readonly sites: WideSites; readonly pieces: readonly Segment[] } | null;
}

export function sumLayout(model: ModelConfig, plan: Plan, worker: string): SumLayout {
  const { replica: index, stage } = positionOf(plan, worker)!;
  const replica = plan.replicas[index]!;
  const space = parameterSpace(model);
  const members = plan.replicas.filter(({ site }) => site === replica.site);
  const holdings = members.map((member) => holdingsOf(model, member, space));
  const self = members.indexOf(replica);
  const { segment } = holdings[self]![stage]!;
  const sites = wideSitesOf(model, plan);
  const isAlone = sites.holdings.length === 1;
  const largest = Math.max(...holdings.flat().map(({ segment: { start, end } }) => end - start));
  const partsOf = !isAlone && leadTakesAll(holdings.length, largest) ? leadParts : evenParts;
  return {
    worker,
    self,
    segment,
    parts: partsOf(holdings, segment),
    across: isAlone ? null : { sites, pieces: commonSegments(sites.holdings, segment) },
  };
}

/**
 * Sums `gradient` in place over all replicas. Every worker of the plan calls this for the same step.
 *
 * Sums are taken in plan order in f32, whatever order they arrive in, and each sum is taken on one worker and
 * copied to the others, so all replicas end with bit-identical values: who takes a sum goes on with what the others
 * decode of it.
 *
 * @param gradient values of the layout's segment, [segment.end - segment.start]
 * @param tokens of a whole step, which the gradients of all replicas together are sums over
 * @param watch is given the sum across sites, where there is one, and waits for it
 */
export async function sumOverReplicas(
  { worker, self, segment, parts, across }: SumLayout,
  gradient: Float32Array,
  tokens: number,
  codecs: GradientCodecs,
  transport: SegmentTransport,
  watch: (acrossSites: Promise<unknown>) => Promise<unknown> = (sum) => sum,
): Promise<void> {
  const { site: codec, wide, unsaid } = codecs;
  const unit = unitOf(codecs, tokens);
  multiply(gradient, unit);
  const slice = (part: Segment) => partOf(gradient, segment, part);
  const values = parts.map((part) => ({ ...part, values: slice(part.segment) }));
  const site = new SiteSum(self, values, codec, transport);

  await site.reduceScatter();
  if (across) {
    await site.gatherAtLead();
    if (self === 0) {
      const sums = across.pieces.map((piece) => {
        const terms = { codec: wide, ...(unsaid && { feedback: unsaid.of(piece) }) };
        return sumAcrossSites(across.sites, worker, piece, slice(piece), terms, transport);
      });
      await watch(Promise.all(sums));
    }
    await site.scatterFromLead();
  }
  await site.allGather({ leadHasAll: across !== null });
  multiply(gradient, 1 / unit);
}

function multiply(values: Float32Array, factor: number): void {
  if (factor === 1) return;
  for (let i = 0; i < values.length; i++) values[i] = values[i]! * factor;
}
