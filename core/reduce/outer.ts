// The outer optimizer of strategy `rounds` (DiLoCo, Douillard et al., 2023, arXiv 2311.08105): what all sites agree
// on, and how it moves by the mean of the sites' pseudo-gradients.
// Anchor and momentum are the same in every site, bit for bit: each applies the same decoded mean, in arithmetic that
// JavaScript defines to the last bit. Within a site the lead replica exchanges and tells the others the mean, so every
// replica has them, and no loss takes them along as long as another holds its part of the model.
// Not here: when a fragment is exchanged (core/plan/rounds.ts), the links, what a GPU holds (web/worker/outer-loop.ts).
import type { RoundsConfig } from "../model/config.ts";
import { partOf, type Segment } from "../model/parameters.ts";
import { saysLittle, type Codec } from "./codec.ts";
import type { Feedback, UnsaidGradients } from "./error-feedback.ts";
import { commonSegments, type WideSites } from "./holdings.ts";
import { gatherAcrossSites, sumAcrossSites } from "./sum-across-sites.ts";
import type { SegmentTransport } from "./transport.ts";

/** How a value of a pseudo-gradient is encoded, by its bits in configurations. */
const CODEC_OF_BITS: Readonly<Record<RoundsConfig["bits"], Codec>> = {
  32: "f32",
  16: "f16",
  8: "int8",
  4: "int4",
  2: "topk",
  1: "sign",
};

/**
 * Whether so little of a pseudo-gradient is said that a site keeps the rest in its own values. Were they set to the anchor,
 * it would make the same progress again, and say it twice.
 */
export const keepsUnsaid = ({ bits }: Pick<RoundsConfig, "bits">): boolean => saysLittle(CODEC_OF_BITS[bits]);

/** Of the last exchange, whose result is the model: at least this. */
const LAST_BITS = 8;

export function codecOfExchange({ bits }: Pick<RoundsConfig, "bits">, last: boolean): Codec {
  return CODEC_OF_BITS[last && bits < LAST_BITS ? LAST_BITS : bits];
}

export type OuterRates = Pick<RoundsConfig, "outerLr" | "outerMomentum">;

export interface OuterOptions {
  readonly strategy: Pick<RoundsConfig, "bits">;
  readonly sites: WideSites;
  readonly worker: string;
}

/** What a site sends of a fragment, and how the exchange is to end. */
export interface Contribution {
  readonly segment: Segment;
  /** The site's own values, [segment.end - segment.start]. */
  readonly local: Float32Array;
  /** Tokens the site has trained on since the fragment's last exchange: its weight. */
  readonly tokens: number;
  /** The run's last exchange: a plain mean, without momentum, told in int8 at least. */
  readonly last: boolean;
}

/** What an exchange of a segment comes to: the same for all replicas of a site. */
export interface Outcome {
  readonly segment: Segment;
  /** The mean pseudo-gradient. */
  readonly mean: Float32Array;
  /** Where sites keep what they have not said: what this one came with, and what of that it has not said. */
  readonly rest: Float32Array | null;
  readonly last: boolean;
}

export class OuterState {
  readonly segment: Segment;
  /** The values that all sites agree on. */
  readonly anchor: Float32Array<ArrayBuffer>;
  /** Of Nesterov's method. */
  readonly momentum: Float32Array<ArrayBuffer>;
  /**
   * What encoding has left unsaid, to be said the next time: `terms` of this site's pseudo-gradients, `sums` of the means
   * that this worker takes; null on replicas that do not encode. Where sites keep what they have not said every replica has it,
   * and `terms` is by how much the site's own values change when the exchange takes effect.
   */
  readonly unsaid: UnsaidGradients | null;

  /** All zero, for a stage that owns `segment`. */
  constructor(segment: Segment, unsaid: UnsaidGradients | null) {
    const size = segment.end - segment.start;
    this.segment = segment;
    this.anchor = new Float32Array(size);
    this.momentum = new Float32Array(size);
    this.unsaid = unsaid;
  }

  /** A view of one of the arrays. */
  part(array: "anchor" | "momentum", segment: Segment): Float32Array<ArrayBuffer> {
    return partOf(this[array], this.segment, segment);
  }

  /**
   * On a replica that has `unsaid`: exchanges the pseudo-gradients of a segment with the other sites. Nothing has changed
   * here until the outer step is taken, so an exchange that not all sites come to the end of can be given up.
   *
   * @returns also what is left unsaid from that step on
   * @throws RangeError when the mean is not finite
   */
  async exchange(
    contribution: Contribution,
    options: OuterOptions,
    transport: SegmentTransport,
  ): Promise<{ outcome: Outcome; unsaid: Feedback }> {
    const { segment, local, last } = contribution;
    const { strategy } = options;
    const gradient = this.part("anchor", segment).slice();
    for (let i = 0; i < gradient.length; i++) gradient[i] = gradient[i]! - local[i]!;
    const keeps = keepsUnsaid(strategy);
    const { terms, sums } = this.unsaid!.of(segment);
    const unsaid = {
      // What a site keeps is in its own values already: it is not to be said twice.
      terms: keeps ? new Float32Array(gradient.length) : terms.slice(),
      sums: sums.slice(),
    };
    const codec = codecOfExchange(strategy, last);
    const mean = await this.#mean(gradient, codec, contribution, unsaid, options, transport);
    if (!mean.every(Number.isFinite)) {
      throw new RangeError("the mean pseudo-gradient is not finite: lower optimizer.lr or strategy.outerLr");
    }
    const rest = keeps && !last ? unsaid.terms.map((value, i) => local[i]! + value) : null;
    return { outcome: { segment, mean, rest, last }, unsaid };
  }

  /**
   * The outer step. With momentum u and the mean pseudo-gradient d: u <- outerMomentum u + d,
   * anchor <- anchor - outerLr (d + outerMomentum u).
   *
   * @param unsaid on the replica that exchanged
   */
  step({ segment, mean, rest, last }: Outcome, strategy: OuterRates, unsaid?: Feedback): void {
    const { outerLr, outerMomentum } = last ? { outerLr: 1, outerMomentum: 0 } : strategy;
    const [anchor, momentum] = [this.part("anchor", segment), this.part("momentum", segment)];
    for (let i = 0; i < anchor.length; i++) {
      momentum[i] = outerMomentum * momentum[i]! + mean[i]!;
      anchor[i] = anchor[i]! - outerLr * (mean[i]! + outerMomentum * momentum[i]!);
    }
    const own = this.unsaid?.of(segment);
    if (unsaid) own!.terms.set(unsaid.terms);
    if (unsaid) own!.sums.set(unsaid.sums);
    if (rest) for (let i = 0; i < rest.length; i++) own!.terms[i] = anchor[i]! - rest[i]!;
  }

  /**
   * An exchange takes effect on the site's own values, in place. They keep the share `keep`, the rest is the anchor's;
   * with "unsaid" they keep what has not been said, and all that came after the exchange began.
   */
  merge(segment: Segment, local: Float32Array, keep: number | "unsaid"): void {
    if (keep === "unsaid") {
      const { terms } = this.unsaid!.of(segment);
      for (let i = 0; i < local.length; i++) local[i] = local[i]! + terms[i]!;
      return;
    }
    const anchor = this.part("anchor", segment);
    for (let i = 0; i < local.length; i++) local[i] = keep * local[i]! + (1 - keep) * anchor[i]!;
  }

  async #mean(
    gradient: Float32Array<ArrayBuffer>,
    codec: Codec,
    { segment, tokens: weight }: Contribution,
    unsaid: Feedback,
    { sites, worker }: OuterOptions,
    transport: SegmentTransport,
  ): Promise<Float32Array> {
    await Promise.all(
      commonSegments(sites.holdings, segment).map(async (piece) => {
        const of = (array: Float32Array) => partOf(array, segment, piece);
        const feedback = { terms: of(unsaid.terms), sums: of(unsaid.sums) };
        const combine = saysLittle(codec) ? gatherAcrossSites : sumAcrossSites;
        await combine(sites, worker, piece, of(gradient), { codec, weight, feedback }, transport);
      }),
    );
    return gradient;
  }
}
