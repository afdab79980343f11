// The outer optimizer of strategy `rounds` (DiLoCo, Douillard et al., 2023, arXiv 2311.08105): what all sites agree
// on, and how it moves by the mean of the sites' pseudo-gradients.
// Anchor and momentum are the same in every site, bit for bit: each applies the same decoded mean, in arithmetic that
// JavaScript defines to the last bit. So no site's loss takes them along.
// Not here: when a fragment is exchanged (core/plan/rounds.ts), the links, what a GPU holds (web/worker/outer-loop.ts).
import type { RoundsConfig } from "../model/config.ts";
import { partOf, type Segment } from "../model/parameters.ts";
import type { Codec } from "./codec.ts";
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
};

/** Of the last exchange, whose result is the model: at least this. */
const LAST_BITS = 8;

export function codecOfExchange({ bits }: Pick<RoundsConfig, "bits">, last: boolean): Codec {
  return CODEC_OF_BITS[last && bits < LAST_BITS ? LAST_BITS : bits];
}

export interface OuterOptions {
  readonly strategy: Pick<RoundsConfig, "bits" | "outerLr" | "outerMomentum">;
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

/** What encoding leaves unsaid of a segment, as it will be when the exchange is concluded. */
interface Unsaid {
  readonly carried: Float32Array;
  readonly sums: Float32Array;
}

export class OuterState {
  readonly segment: Segment;
  /** The values that all sites agree on. */
  readonly anchor: Float32Array<ArrayBuffer>;
  /** Of Nesterov's method. */
  readonly momentum: Float32Array<ArrayBuffer>;
  /** What encoding has left unsaid of the means that this worker takes; where only the largest are sent, nothing. */
  readonly unsaidSums: Float32Array<ArrayBuffer>;
  /**
   * What encoding has left unsaid of this site's pseudo-gradients, to be said the next time; where only the largest are
   * sent, by how much the site's own values change when the exchange takes effect.
   */
  readonly carried: Float32Array<ArrayBuffer>;

  /** All zero, for a stage that owns `segment`. */
  constructor(segment: Segment) {
    const size = segment.end - segment.start;
    this.segment = segment;
    this.anchor = new Float32Array(size);
    this.momentum = new Float32Array(size);
    this.carried = new Float32Array(size);
    this.unsaidSums = new Float32Array(size);
  }

  /** A view of one of the arrays. */
  part(array: "anchor" | "momentum" | "carried" | "unsaidSums", segment: Segment): Float32Array<ArrayBuffer> {
    return partOf(this[array], this.segment, segment);
  }

  /**
   * Exchanges the pseudo-gradients of a segment with the other sites. Resolves with the outer step by their mean: until
   * that is taken nothing has changed here, so an exchange that not all sites come to the end of can be given up. With
   * momentum u and the mean pseudo-gradient d: u <- outerMomentum u + d, anchor <- anchor - outerLr (d + outerMomentum u).
   * @throws RangeError when the mean is not finite
   */
  async exchange(
    contribution: Contribution,
    options: OuterOptions,
    transport: SegmentTransport,
  ): Promise<() => void> {
    const { segment, local, last } = contribution;
    const { strategy } = options;
    const gradient = this.part("anchor", segment).slice();
    for (let i = 0; i < gradient.length; i++) gradient[i] = gradient[i]! - local[i]!;
    const sparse = strategy.bits === 2;
    const unsaid = {
      // Where only the largest are sent, what was carried is in the site's own values: it is not to be said twice.
      carried: sparse ? new Float32Array(gradient.length) : this.part("carried", segment).slice(),
      sums: this.part("unsaidSums", segment).slice(),
    };
    const codec = codecOfExchange(strategy, last);
    const mean = await this.#mean(gradient, codec, contribution, unsaid, options, transport);
    if (!mean.every(Number.isFinite)) {
      throw new RangeError("the mean pseudo-gradient is not finite: lower optimizer.lr or strategy.outerLr");
    }
    return () => {
      this.#move(segment, mean, last ? { outerLr: 1, outerMomentum: 0 } : strategy);
      this.part("unsaidSums", segment).set(unsaid.sums);
      const carried = this.part("carried", segment);
      carried.set(unsaid.carried);
      if (!sparse || last) return;
      const anchor = this.part("anchor", segment);
      for (let i = 0; i < carried.length; i++) carried[i] = anchor[i]! - carried[i]! - local[i]!;
    };
  }

  /**
   * An exchange takes effect on the site's own values, in place. They keep the share `keep`, the rest is the anchor's;
   * where only the largest are sent, they keep what has not been said, and all that came after the exchange began.
   */
  merge(segment: Segment, local: Float32Array, keep: number | "unsaid"): void {
    if (keep === "unsaid") {
      const carried = this.part("carried", segment);
      for (let i = 0; i < local.length; i++) local[i] = local[i]! + carried[i]!;
      return;
    }
    const anchor = this.part("anchor", segment);
    for (let i = 0; i < local.length; i++) local[i] = keep * local[i]! + (1 - keep) * anchor[i]!;
  }

  async #mean(
    gradient: Float32Array<ArrayBuffer>,
    codec: Codec,
    { segment, tokens: weight }: Contribution,
    unsaid: Unsaid,
    { sites, worker }: OuterOptions,
    transport: SegmentTransport,
  ): Promise<Float32Array> {
    await Promise.all(
      commonSegments(sites.holdings, segment).map(async (piece) => {
        const of = (array: Float32Array) => partOf(array, segment, piece);
        const terms = { codec, weight, feedback: { terms: of(unsaid.carried), sums: of(unsaid.sums) } };
        const combine = codec === "topk" ? gatherAcrossSites : sumAcrossSites;
        await combine(sites, worker, piece, of(gradient), terms, transport);
      }),
    );
    return gradient;
  }

  #move(
    segment: Segment,
    mean: Float32Array,
    { outerLr, outerMomentum }: Pick<RoundsConfig, "outerLr" | "outerMomentum">,
  ): void {
    const [anchor, momentum] = [this.part("anchor", segment), this.part("momentum", segment)];
    for (let i = 0; i < anchor.length; i++) {
      momentum[i] = outerMomentum * momentum[i]! + mean[i]!;
      anchor[i] = anchor[i]! - outerLr * (mean[i]! + outerMomentum * momentum[i]!);
    }
  }
}
