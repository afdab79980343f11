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
import { positionOf } from "../../core/plan/plan.ts";
import { fragmentOf, fragmentSegments } from "../../core/plan/rounds.ts";
import { crc32 } from "../../core/protocol/crc32.ts";
import {
  evenParts,
  holdingsOf,
  overlaps,
  wideSitesOf,
  type Holding,
  type WideSites,
} from "../../core/reduce/holdings.ts";
import { keepsUnsaid, type Outcome, type OuterState } from "../../core/reduce/outer.ts";
import { SiteSum } from "../../core/reduce/sum-in-site.ts";
import type { Stage } from "../engine/stage.ts";
import type { Channel } from "./channel.ts";
import type { Meter } from "./meter.ts";
import type { Assignment, Order } from "./worker-messages.ts";

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
  /** What the replicas of this worker's site hold, the lead replica first; and which of them it is of. */
  readonly #replicas: readonly Holding[][];
  readonly #replica: number;
  /** Exchanges by the step after which they began. */
  readonly #underWay = new Map<number, UnderWay>();

  constructor(parts: OuterLoopParts) {
    const { self, assignment } = parts;
    const { config, plan } = assignment;
    const own = plan.replicas[positionOf(plan, self)!.replica]!;
    const replicas = plan.replicas.filter(({ site }) => site === own.site);
    this.#parts = parts;
    this.#sites = wideSitesOf(config.model, plan);
    this.#replicas = replicas.map((replica) => holdingsOf(config.model, replica));
    this.#replica = replicas.indexOf(own);
  }

  get #leads(): boolean {
    return this.#replica === 0;
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
      for (const [index, array] of AGREED.entries()) {
        const place = { step, microbatch: index };
        const write = (values: Float32Array, start: number) =>
          outer.part(array, { start, end: start + values.length }).set(values);
        if (self === from) channel.sendSegment(to, "parameters", place, segment, outer.part(array, segment));
        else await channel.receiveSegment(from, "parameters", place, segment, write);
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
        await meter.wait(this.#spread(step, array, segment, outer.part(array, segment)));
      }
      stage.write("parameters", outer.part("anchor", segment), segment.start);
      // What is left unsaid would be added yet.
      if (keepsUnsaid(strategy)) outer.unsaid!.of(segment).terms.fill(0);
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
    const { strategy } = this.#parts;
    return keepsUnsaid(strategy) ? "unsaid" : strategy.merge;
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
        await this.#spreadOutcome(step, outcome);
        return () => outer.step(outcome, strategy, unsaid);
      }),
    );
  }

  /** The same of a segment whose mean comes from the lead replica. */
  #hear(step: number, last: boolean): (segment: Segment) => Promise<() => void> {
    const { outer, strategy } = this.#parts;
    return async (segment) => {
      const empty = () => new Float32Array(segment.end - segment.start);
      const [mean, rest] = [empty(), keepsUnsaid(strategy) && !last ? empty() : null];
      const outcome: Outcome = { segment, mean, rest, last };
      await this.#spreadOutcome(step, outcome);
      return () => outer.step(outcome, strategy);
    };
  }

  async #spreadOutcome(step: number, { segment, mean, rest }: Outcome): Promise<void> {
    await Promise.all([
      this.#spread(step, "mean", segment, mean),
      rest && this.#spread(step, "rest", segment, rest),
    ]);
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

  /** The lead replica's values of a segment become those of the site's other replicas, which wait for them. */
  async #spread(step: number, what: Spread, segment: Segment, values: Float32Array): Promise<void> {
    const parts = evenParts(this.#replicas, segment).map((part) => ({
      ...part,
      values: partOf(values, segment, part.segment),
    }));
    const transport = this.#parts.channel.segments(step, SPREAD.indexOf(what));
    const site = new SiteSum(this.#replica, parts, "f32", transport);
    await site.scatterFromLead();
    await site.allGather({ leadHasAll: true });
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
/** What a lead replica has for the others. Its place here is its number in frames, of which gradients have 0. */
const SPREAD = ["gradient", "mean", "rest", ...AGREED] as const;
type Spread = (typeof SPREAD)[number];

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
