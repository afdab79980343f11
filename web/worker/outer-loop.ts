// Strategy `rounds` on one worker: begins exchanges of a fragment beside the training, takes the outer step when the
// coordinator says that all sites can, and lets exchanges take effect.
// The stages of a site's lead replica exchange with other sites; those of its other replicas are told the result.
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
import type { OuterState } from "../../core/reduce/outer.ts";
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
  /** Null on a stage that is not of its site's lead replica. */
  readonly outer: OuterState | null;
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
  /** What the lead replica of this worker's site holds, and its other replicas. */
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
    this.#followers = plan.replicas
      .filter((replica) => replica.site === site && replica !== lead)
      .flatMap((replica) => holdingsOf(config.model, replica));
  }

  /**
   * Begins exchanges with the values as they are now; they go on beside what comes next. `arrived` settles when the means
   * have come.
   */
  async exchange({ step, exchanges, last }: Order<"exchange">): Promise<{ arrived: Promise<void> }> {
    const { outer, channel, stage, strategy, meter, self: worker } = this.#parts;
    const transport = channel.segments(step);
    const options = { strategy, sites: this.#sites, worker };
    const segments = exchanges.map(({ fragment }) => this.#segments(fragment));
    const local = split(await stage.read("parameters", segments.flat()), segments.flat());
    const begun = exchanges.flatMap(({ tokens }, i) =>
      segments[i]!.map((segment) =>
        outer!.exchange({ segment, local: local.get(segment)!, tokens, last }, options, transport),
      ),
    );
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

  /** Waits for the exchange's conclusion and lets it take effect. Returns CRC-32s of the anchors by part of the model. */
  async merge({ step, fragments, last }: Order<"merge">): Promise<Record<string, number>> {
    const { outer, meter } = this.#parts;
    if (!outer) {
      const segments = fragments.flatMap((fragment) => this.#segments(fragment));
      await meter.wait(this.#follow(step, segments));
      return {};
    }
    const exchange = this.#underWay.get(step);
    if (exchange) await meter.waitForExchange(exchange.concluded);
    this.#underWay.delete(step);
    await this.#takeEffect(outer, step, fragments, last ? 0 : this.#keep);
    return this.#hashes(outer, fragments);
  }

  /** Gives, or takes, what all sites ought to agree on of a part of the model. */
  async repair({ step, part, from, to }: Order<"repair">): Promise<void> {
    const { outer, channel, self, assignment, range } = this.#parts;
    if (!outer) return;
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

  /** What this site made of wrong values goes: its parameters become the anchor's, on all replicas. */
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
    if (!outer) return meter.wait(this.#follow(step, segments));
    // What an exchange under way makes of the anchor belongs to it.
    await meter.waitForExchange(this.settle());
    for (const segment of segments) {
      const anchor = outer.part("anchor", segment);
      stage.write("parameters", anchor, segment.start);
      // Where only the largest are sent, what is left unsaid would be added yet.
      if (strategy.bits === 2) outer.part("carried", segment).fill(0);
      this.#lead(step, segment, anchor);
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

  /** `keep`: see `OuterState.merge`. */
  async #takeEffect(outer: OuterState, step: number, fragments: readonly number[], keep: number | "unsaid") {
    const { stage } = this.#parts;
    const segments = fragments.flatMap((fragment) => this.#segments(fragment));
    const local = split(await stage.read("parameters", segments), segments);
    for (const [segment, values] of local) {
      outer.merge(segment, values, keep);
      stage.write("parameters", values, segment.start);
      this.#lead(step, segment, values);
    }
  }

  /** Gives the site's other replicas the values that the lead replica goes on with. */
  #lead(step: number, segment: Segment, values: Float32Array<ArrayBuffer>): void {
    for (const { worker, segment: part } of overlaps(this.#followers, segment)) {
      const own = partOf(values, segment, part);
      this.#parts.channel.sendSegment(worker, "parameters", { step }, part, own);
    }
  }

  /** Takes the values that the lead replica's stages go on with. */
  async #follow(step: number, segments: readonly Segment[]): Promise<void> {
    const { stage, channel } = this.#parts;
    const parts = segments.flatMap((segment) => overlaps(this.#leaders, segment));
    await Promise.all(
      parts.map(({ worker, segment }) =>
        channel.receiveSegment(worker, "parameters", { step }, segment, (values, start) =>
          stage.write("parameters", values, start),
        ),
      ),
    );
  }

  #hashes(outer: OuterState, fragments: readonly number[]): Record<string, number> {
    const { strategy, range, assignment } = this.#parts;
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
