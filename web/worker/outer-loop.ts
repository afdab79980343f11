// Strategy `rounds` on one worker: begins exchanges of a fragment beside the training, takes the outer step when the
// coordinator says that all sites can, and lets exchanges take effect.
// The stages of a site's lead replica exchange with other sites and tell those of its other replicas what came of it, so
// that all take the same outer step: what sites agree on is held by every replica.
// Not here: the outer step itself (core/reduce/outer.ts), when and for whom (server/strategy/rounds.ts).
import type { RoundsConfig } from "../../core/model/config.ts";
import {
  partOf,
  ownedTensors,
  parameterSpace,
  type Segment,
  type StageRange,
  type Tensor,
} from "../../core/model/parameters.ts";
import { leadReplicas, positionOf } from "../../core/plan/plan.ts";
import { fragmentOf, fragmentSegments } from "../../core/plan/rounds.ts";
import { crc32 } from "../../core/protocol/crc32.ts";
import {
  holdingsOf,
  overlaps,
  wideSitesOf,
  type Holding,
  type WideSites,
} from "../../core/reduce/holdings.ts";
import type { Outcome, OuterState } from "../../core/reduce/outer.ts";
import type { Stage } from "../engine/stage.ts";
import type { Channel } from "./channel.ts";
import type { Meter } from "./meter.ts";
import type { Assignment, Order } from "./trainer.ts";

export interface OuterLoopParts {
  readonly self: string;
  readonly assignment: Assignment;
  readonly strategy: RoundsConfig;
  readonly range: StageRange;
  readonly stage: Stage;
  readonly channel: Channel;
  readonly meter: Meter;
  readonly outer: OuterState;
}

/** Begun and not yet taken effect. */
interface UnderWay {
  /** The outer step of each segment, once the means have come. */
  outerSteps: readonly (() => void)[];
  /** Settles when they are taken, or cannot be any more. */
  readonly concluded: Promise<void>;
  readonly conclude: () => void;
}

export class OuterLoop {
  readonly #parts: OuterLoopParts;
  readonly #sites: WideSites;
  /** Whether this worker is of its site's lead replica; what that one holds, and the site's other replicas. */
  readonly #leads: boolean;
  readonly #leaders: readonly Holding[];
  readonly #followers: readonly Holding[];
  /** Exchanges by the step after which they began. */
  readonly #underWay = new Map<number, UnderWay>();

  constructor(parts: OuterLoopParts) {
    const { self, assignment } = parts;
    const { config, plan } = assignment;
    const { site } = plan.replicas[positionOf(plan, self)!.replica]!;
    const leads = leadReplicas(plan);
    const lead = leads.find((replica) => replica.site === site)!;
    this.#parts = parts;
    this.#sites = wideSitesOf(config.model, plan);
    this.#leaders = this.#sites.holdings[leads.indexOf(lead)]!;
    this.#leads = this.#leaders.some(({ worker }) => worker === self);
    this.#followers = plan.replicas
      .filter((replica) => replica.site === site && replica !== lead)
      .flatMap((replica) => holdingsOf(config.model, replica));
  }

  /**
   * Begins exchanges with the values as they are now; they go on beside what comes next. `arrived` settles when the means
   * have come.
   */
  async exchange({ step, exchanges, last }: Order<"exchange">): Promise<{ arrived: Promise<void> }> {
    const { channel, meter } = this.#parts;
    const begun = this.#leads
      ? await this.#exchangeWithSites(step, exchanges, last)
      : exchanges.flatMap(({ fragment }) => this.#segments(fragment).map(this.#hear(step, last)));
    let conclude!: () => void;
    const word = new Promise<void>((resolve) => (conclude = resolve));
    const ends = Promise.all(begun);
    const means = this.#sites.holdings.length > 1 ? meter.exchange(ends) : ends;
    const concluded = channel.within(means.then(() => word));
    const exchange: UnderWay = { outerSteps: [], concluded, conclude };
    this.#underWay.set(step, exchange);
    // A failure is met where the exchange takes effect; until then it must not count as unhandled.
    concluded.catch(() => {});
    return { arrived: means.then((outerSteps) => void (exchange.outerSteps = outerSteps)) };
  }

  /** All sites have the means of an exchange: takes the outer step. */
  conclude({ step }: Order<"conclude">): void {
    const { outerSteps, conclude } = this.#underWay.get(step)!;
    for (const take of outerSteps) take();
    conclude();
  }

  /**
   * Waits for the exchange's conclusion and lets it take effect. Returns CRC-32s of the anchors by part of the model, on
   * the lead replica.
   */
  async merge({ step, fragments, last }: Order<"merge">): Promise<Record<string, number>> {
    const exchange = this.#underWay.get(step);
    if (exchange) await this.#parts.meter.waitForExchange(exchange.concluded);
    this.#underWay.delete(step);
    await this.#takeEffect(fragments, last ? 0 : this.#keep);
    return this.#leads ? this.#hashes(fragments) : {};
  }

  /** Gives, or takes, what all sites ought to agree on of a part of the model. */
  async repair({ step, part, from, to }: Order<"repair">): Promise<void> {
    const { outer, channel, self, assignment, range } = this.#parts;
    const tensors = ownedTensors(parameterSpace(assignment.config.model), range);
    const wanted = tensors.filter((tensor) => partName(tensor.part) === part);
    for (const { offset, size } of wanted) {
      const segment = { start: offset, end: offset + size };
      for (const array of AGREED) {
        const values = outer.part(array, segment);
        const place = placeOf(step, array);
        if (self === from) channel.sendSegment(to, "parameters", place, segment, values);
        else await channel.receiveSegment(from, "parameters", place, segment, writeTo(values, segment));
      }
    }
  }

  /** What this site made of wrong values goes: the other replicas take the lead's, and all their parameters the anchor's. */
  async renew({ step, part }: Order<"renew">): Promise<void> {
    const { outer, stage, self, assignment, strategy, meter } = this.#parts;
    const tensors = parameterSpace(assignment.config.model).tensors.filter(
      (tensor) => partName(tensor.part) === part,
    );
    const segments = tensors
      .flatMap(({ offset, size }) =>
        overlaps([{ worker: self, segment: stage.segment }], { start: offset, end: offset + size }),
      )
      .map(({ segment }) => segment);
    // What an exchange under way makes of the anchor belongs to it.
    await meter.waitForExchange(this.settle());
    for (const segment of segments) {
      for (const array of AGREED) {
        const values = outer.part(array, segment);
        if (this.#leads) this.#tell(step, array, segment, values);
        else await meter.wait(this.#listen(step, array, segment, values));
      }
      stage.write("parameters", outer.part("anchor", segment), segment.start);
      // Where only the largest are sent, what is left unsaid would be added yet.
      if (strategy.bits === 2) outer.unsaid!.of(segment).terms.fill(0);
    }
  }

  /** Resolves when all exchanges under way are concluded. @throws GenerationEnded, of one that cannot be any more */
  async settle(): Promise<void> {
    await Promise.all([...this.#underWay.values()].map(({ concluded }) => concluded));
  }

  /** Calls back once all exchanges under way are concluded: at once, before another can be. */
  async whenSettled(copy: () => void): Promise<void> {
    await this.settle();
    copy();
  }

  get #keep(): number | "unsaid" {
    const { bits, merge } = this.#parts.strategy;
    return bits === 2 ? "unsaid" : merge;
  }

  /** Of each segment of the fragments: what is to be done at the conclusion, once its mean has come and been passed on. */
  async #exchangeWithSites(
    step: number,
    exchanges: Order<"exchange">["exchanges"],
    last: boolean,
  ): Promise<Promise<() => void>[]> {
    const { outer, channel, stage, strategy, self: worker } = this.#parts;
    const transport = channel.segments(step);
    const options = { strategy, sites: this.#sites, worker };
    const segments = exchanges.map(({ fragment }) => this.#segments(fragment));
    const local = split(await stage.read("parameters", segments.flat()), segments.flat());
    return exchanges.flatMap(({ tokens }, i) =>
      segments[i]!.map(async (segment) => {
        const contribution = { segment, local: local.get(segment)!, tokens, last };
        const { outcome, unsaid } = await outer.exchange(contribution, options, transport);
        this.#tell(step, "mean", segment, outcome.mean);
        if (outcome.rest) this.#tell(step, "rest", segment, outcome.rest);
        return () => outer.step(outcome, strategy, unsaid);
      }),
    );
  }

  /** The same of a segment whose mean comes from the lead replica. */
  #hear(step: number, last: boolean): (segment: Segment) => Promise<() => void> {
    const { outer, strategy } = this.#parts;
    return async (segment) => {
      const empty = () => new Float32Array(segment.end - segment.start);
      const [mean, rest] = [empty(), strategy.bits === 2 && !last ? empty() : null];
      await Promise.all([
        this.#listen(step, "mean", segment, mean),
        rest && this.#listen(step, "rest", segment, rest),
      ]);
      const outcome: Outcome = { segment, mean, rest, last };
      return () => outer.step(outcome, strategy);
    };
  }

  /** `keep`: see `OuterState.merge`. */
  async #takeEffect(fragments: readonly number[], keep: number | "unsaid"): Promise<void> {
    const { outer, stage } = this.#parts;
    const segments = fragments.flatMap((fragment) => this.#segments(fragment));
    const local = split(await stage.read("parameters", segments), segments);
    for (const [segment, values] of local) {
      outer.merge(segment, values, keep);
      stage.write("parameters", values, segment.start);
    }
  }

  /** Gives the site's other replicas values that the lead replica has for a segment. */
  #tell(step: number, what: Told, segment: Segment, values: Float32Array): void {
    for (const { worker, segment: part } of overlaps(this.#followers, segment)) {
      const own = partOf(values, segment, part);
      this.#parts.channel.sendSegment(worker, "parameters", placeOf(step, what), part, own);
    }
  }

  /** Takes them from the lead replica's stages. */
  async #listen(step: number, what: Told, segment: Segment, values: Float32Array): Promise<void> {
    const { channel } = this.#parts;
    const write = writeTo(values, segment);
    await Promise.all(
      overlaps(this.#leaders, segment).map(({ worker, segment: part }) =>
        channel.receiveSegment(worker, "parameters", placeOf(step, what), part, write),
      ),
    );
  }

  #hashes(fragments: readonly number[]): Record<string, number> {
    const { outer, strategy, range, assignment } = this.#parts;
    const hashes: Record<string, number> = {};
    for (const { part, offset, size } of ownedTensors(parameterSpace(assignment.config.model), range)) {
      if (!fragments.includes(fragmentOf(part, strategy.fragments))) continue;
      const { buffer, byteOffset, byteLength } = outer.part("anchor", { start: offset, end: offset + size });
      hashes[partName(part)] = crc32(new Uint8Array(buffer, byteOffset, byteLength), hashes[partName(part)]);
    }
    return hashes;
  }

  #segments(fragment: number): Segment[] {
    const { assignment, range, strategy } = this.#parts;
    return fragmentSegments(assignment.config.model, range, fragment, strategy.fragments);
  }
}

/** The arrays of the outer state that are the same in every site. */
const AGREED = ["anchor", "momentum"] as const;
/** What a lead replica tells others. A value's place here is its number in frames. */
const TOLD = [...AGREED, "mean", "rest"] as const;
type Told = (typeof TOLD)[number];

const placeOf = (step: number, what: Told) => ({ step, microbatch: TOLD.indexOf(what) });

const writeTo =
  (values: Float32Array, segment: Segment) =>
  (piece: Float32Array, start: number): void =>
    partOf(values, segment, { start, end: start + piece.length }).set(piece);

const partName = (part: Tensor["part"]): string => (typeof part === "number" ? `block ${part}` : part);

/** Values that lie behind each other, by the segment they are of. */
function split(
  values: Float32Array<ArrayBuffer>,
  segments: readonly Segment[],
): Map<Segment, Float32Array<ArrayBuffer>> {
  const parts = new Map<Segment, Float32Array<ArrayBuffer>>();
  let first = 0;
  for (const segment of segments) {
    const size = segment.end - segment.start;
    parts.set(segment, values.subarray(first, first + size));
    first += size;
  }
  return parts;
}
