// What one worker holds of a gradient, summed over the replicas of its site: reduce-scatter and all-gather, each replica
// taking the sum of its parts, so that no link carries more than twice (R - 1) / R of it. Where there are other sites,
// the lead replica (the first) comes to hold all sums in between, and gives them back.
// Not here: the sum over sites (sum-across-sites.ts), who takes which part (holdings.ts).
import type { SiteCodec } from "./codec.ts";
import type { Part } from "./holdings.ts";
import { piecesOf } from "./pieces.ts";
import { partOf } from "../model/parameters.ts";
import { gathered, sumOf } from "./sum-across-sites.ts";
import { decoded, encoded, type SegmentTransport } from "./transport.ts";

/** A part, and this worker's values of it: [segment.end - segment.start], replaced by their sum. */
export interface PartValues extends Part {
  readonly values: Float32Array;
}

const LEAD = 0;

export class SiteSum {
  readonly #self: number;
  readonly #parts: readonly PartValues[];
  readonly #codec: SiteCodec;
  readonly #transport: SegmentTransport;

  /** @param self which of the site's replicas this worker is of */
  constructor(self: number, parts: readonly PartValues[], codec: SiteCodec, transport: SegmentTransport) {
    this.#self = self;
    this.#parts = parts.flatMap((part) => inPieces(part));
    this.#codec = codec;
    this.#transport = transport;
  }

  /** Sums the parts that this replica takes; terms are taken in the order of replicas. */
  async reduceScatter(): Promise<void> {
    for (const { taker, holders, segment, values } of this.#others) {
      this.#transport.send(holders[taker]!, "reduce", segment.start, encoded(this.#codec, values));
    }
    await Promise.all(
      this.#own.map(async ({ holders, segment, values }) => {
        const terms = await gathered(holders, holders[this.#self]!, values, (holder) =>
          this.#transport.receive(holder, "reduce", segment.start, values.length),
        );
        values.set(sumOf(terms));
      }),
    );
  }

  /** The lead replica comes to hold the sums that the others have taken. */
  async gatherAtLead(): Promise<void> {
    if (this.#self === LEAD) await this.#hear("reduce", this.#others, ({ taker }) => taker);
    else for (const part of this.#own) this.#say("reduce", part, [LEAD]);
  }

  /** And gives each back what it takes. */
  async scatterFromLead(): Promise<void> {
    if (this.#self === LEAD) for (const part of this.#others) this.#say("result", part, [part.taker]);
    else await this.#hear("result", this.#own, () => LEAD);
  }

  /** Each replica tells the others the sums that it has. */
  async allGather({ leadHasAll }: { readonly leadHasAll: boolean }): Promise<void> {
    for (const part of this.#own) {
      const others = part.holders.map((_, replica) => replica).filter((replica) => replica !== this.#self);
      this.#say("result", part, leadHasAll ? others.filter((replica) => replica !== LEAD) : others);
    }
    if (leadHasAll && this.#self === LEAD) return;
    await this.#hear("result", this.#others, ({ taker }) => taker);
  }

  get #own(): PartValues[] {
    return this.#parts.filter(({ taker }) => taker === this.#self);
  }

  get #others(): PartValues[] {
    return this.#parts.filter(({ taker }) => taker !== this.#self);
  }

  /** All, this worker as well, go on with what the encoding leaves. */
  #say(kind: "reduce" | "result", { holders, segment, values }: PartValues, to: readonly number[]): void {
    const said = encoded(this.#codec, values);
    for (const replica of to) this.#transport.send(holders[replica]!, kind, segment.start, said);
    if (this.#codec !== "f32") values.set(decoded(said));
  }

  async #hear(
    kind: "reduce" | "result",
    parts: readonly PartValues[],
    from: (part: PartValues) => number,
  ): Promise<void> {
    await Promise.all(
      parts.map(async (part) => {
        const { values, segment } = part;
        const holder = part.holders[from(part)]!;
        values.set(await this.#transport.receive(holder, kind, segment.start, values.length));
      }),
    );
  }
}

function inPieces(part: PartValues): PartValues[] {
  return piecesOf(part.segment).map((segment) => ({
    ...part,
    segment,
    values: partOf(part.values, part.segment, segment),
  }));
}
