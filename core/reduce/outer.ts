// The outer optimizer of strategy `rounds` (DiLoCo, Douillard et al., 2023, arXiv 2311.08105): what all sites agree
// on, and how it moves by the mean of the sites' pseudo-gradients.
// Its state is the same in every site, bit for bit: each applies the same decoded mean, in arithmetic that JavaScript
// defines to the last bit. So no site's loss takes it along.
// Not here: when a fragment is exchanged (core/plan/rounds.ts), the links, what a GPU holds (web/worker/rounds.ts).
import type { RoundsConfig } from "../model/config.ts";
import type { Segment } from "../model/parameters.ts";
import type { Codec } from "./codec.ts";
import { commonSegments, type Holding } from "./holdings.ts";
import { sumAcrossSites } from "./sum-across-sites.ts";
import type { SegmentTransport } from "./transport.ts";

/** Arrays of the outer state, each [segment.end - segment.start]. */
export const OUTER_ARRAYS = ["anchor", "momentum", "unsaidTerms", "unsaidSums"] as const;
export type OuterArray = (typeof OUTER_ARRAYS)[number];

/** Bits a value of a pseudo-gradient, as configurations say it. */
export const ROUNDS_CODECS: Readonly<Record<RoundsConfig["bits"], Codec>> = {
  32: "f32",
  16: "f16",
  8: "int8",
  4: "int4",
  2: "topk",
};

export interface OuterOptions {
  readonly strategy: Pick<RoundsConfig, "bits" | "outerLr" | "outerMomentum">;
  /** What the stages of each site's lead replica hold, in plan order. */
  readonly sites: readonly Holding[][];
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

export class OuterState {
  readonly segment: Segment;
  /** The values that all sites agree on. */
  readonly anchor: Float32Array<ArrayBuffer>;
  /** Of Nesterov's method. */
  readonly momentum: Float32Array<ArrayBuffer>;
  /** Error feedback: what encoding has left unsaid of this site's pseudo-gradients, and of the means it takes. */
  readonly unsaidTerms: Float32Array<ArrayBuffer>;
  readonly unsaidSums: Float32Array<ArrayBuffer>;

  /** All zero, for a stage that owns `segment`. */
  constructor(segment: Segment) {
    const size = segment.end - segment.start;
    this.segment = segment;
    this.anchor = new Float32Array(size);
    this.momentum = new Float32Array(size);
    this.unsaidTerms = new Float32Array(size);
    this.unsaidSums = new Float32Array(size);
  }

  /** A view of one of the arrays. */
  part(array: OuterArray, { start, end }: Segment): Float32Array<ArrayBuffer> {
    return this[array].subarray(start - this.segment.start, end - this.segment.start);
  }

  /**
   * Exchanges the pseudo-gradients of a segment with the other sites and moves the anchor. With momentum u and the
   * mean pseudo-gradient d: u <- outerMomentum u + d, anchor <- anchor - outerLr (d + outerMomentum u).
   * @throws RangeError when the mean is not finite; the anchor has not moved then
   */
  async exchange(
    { segment, local, tokens, last }: Contribution,
    { strategy, sites, worker }: OuterOptions,
    transport: SegmentTransport,
  ): Promise<void> {
    const gradient = this.part("anchor", segment).slice();
    for (let i = 0; i < gradient.length; i++) gradient[i] = gradient[i]! - local[i]!;
    const codec = ROUNDS_CODECS[last ? (Math.max(8, strategy.bits) as RoundsConfig["bits"]) : strategy.bits];
    await Promise.all(
      commonSegments(sites, segment).map((piece) => {
        const feedback = { terms: this.part("unsaidTerms", piece), sums: this.part("unsaidSums", piece) };
        const values = gradient.subarray(piece.start - segment.start, piece.end - segment.start);
        return sumAcrossSites(sites, worker, piece, values, { codec, weight: tokens, feedback }, transport);
      }),
    );
    if (!gradient.every(Number.isFinite)) {
      throw new RangeError("the mean pseudo-gradient is not finite: lower optimizer.lr or strategy.outerLr");
    }
    const anchor = this.part("anchor", segment);
    if (last) {
      for (let i = 0; i < anchor.length; i++) anchor[i] = anchor[i]! - gradient[i]!;
      return;
    }
    const momentum = this.part("momentum", segment);
    const { outerLr, outerMomentum } = strategy;
    for (let i = 0; i < anchor.length; i++) {
      momentum[i] = outerMomentum * momentum[i]! + gradient[i]!;
      anchor[i] = anchor[i]! - outerLr * (gradient[i]! + outerMomentum * momentum[i]!);
    }
  }

  /** In place: the share `keep` of the site's own values, the rest of the anchor's. */
  merge(segment: Segment, local: Float32Array, keep: number): void {
    const anchor = this.part("anchor", segment);
    for (let i = 0; i < local.length; i++) local[i] = keep * local[i]! + (1 - keep) * anchor[i]!;
  }
}
