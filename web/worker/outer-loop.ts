// Strategy `rounds` on one worker: begins exchanges of a fragment beside the training, and lets them take effect.
// The stages of a site's lead replica exchange with other sites; those of its other replicas are told the result.
// Not here: the outer step itself (core/reduce/outer.ts), when and for whom (server/strategy/rounds.ts).
import type { RoundsConfig } from "../../core/model/config.ts";
import {
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

export class OuterLoop {
  readonly #parts: OuterLoopParts;
  readonly #sites: WideSites;
  /** What the lead replica of this worker's site holds, and its other replicas. */
  readonly #lead: readonly Holding[];
  readonly #followers: readonly Holding[];
  /** Exchanges that have begun and not yet taken effect, by fragment. */
  readonly #underWay = new Map<number, Promise<unknown>>();
  /** The outer state has been copied for who asked for it last. */
  #copied: Promise<void> = Promise.resolve();

  constructor(parts: OuterLoopParts) {
    const { self, assignment } = parts;
    const { config, plan } = assignment;
    const { site } = plan.replicas[positionOf(plan, self)!.replica]!;
    const leads = leadReplicas(plan);
    const lead = leads.find((replica) => replica.site === site)!;
    this.#parts = parts;
    this.#sites = wideSitesOf(config.model, plan);
    this.#lead = this.#sites.holdings[leads.indexOf(lead)]!;
    this.#followers = plan.replicas
      .filter((replica) => replica.site === site && replica !== lead)
      .flatMap((replica) => holdingsOf(config.model, replica));
  }

  /** Begins exchanges with the values as they are now; they go on beside what comes next. */
  async exchange({ step, exchanges, last }: Order<"exchange">): Promise<void> {
    const { outer, channel, stage, strategy, meter, self: worker } = this.#parts;
    if (!outer) return;
    await this.#copied;
    const transport = channel.segments(step);
    const options = { strategy, sites: this.#sites, worker };
    const segments = exchanges.map(({ fragment }) => this.#segments(fragment));
    const local = split(await stage.read("parameters", segments.flat()), segments.flat());
    for (const [i, { fragment, tokens }] of exchanges.entries()) {
      const begun = segments[i]!.map((segment) =>
        outer.exchange({ segment, local: local.get(segment)!, tokens, last }, options, transport),
      );
      const ends = Promise.all(begun);
      const all = this.#sites.holdings.length > 1 ? meter.exchange(ends) : ends;
      // A failure is met where the exchange takes effect; until then it must not count as unhandled.
      all.catch(() => {});
      this.#underWay.set(fragment, all);
    }
  }

  /** Waits for exchanges and lets them take effect. Returns CRC-32s of the anchors by part of the model. */
  async merge({ step, fragments, last }: Order<"merge">): Promise<Record<string, number>> {
    if (!this.#parts.outer) {
      await this.#follow(step, fragments);
      return {};
    }
    const ends = Promise.all(fragments.map((fragment) => this.#underWay.get(fragment)));
    await this.#parts.meter.waitForExchange(ends);
    for (const fragment of fragments) this.#underWay.delete(fragment);
    await this.#takeEffect(this.#parts.outer, step, fragments, last ? 0 : this.#keep);
    return this.#hashes(this.#parts.outer, fragments);
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
    const { outer, channel, stage, self, assignment, strategy, meter } = this.#parts;
    const tensors = parameterSpace(assignment.config.model).tensors.filter(
      (tensor) => partName(tensor.part) === part,
    );
    const fragment = fragmentOf(tensors[0]!.part, strategy.fragments);
    // What an exchange under way makes of the anchor belongs to it.
    if (outer) await meter.waitForExchange(Promise.resolve(this.#underWay.get(fragment)));
    const mine = tensors.flatMap(({ offset, size }) =>
      overlaps([{ worker: self, segment: stage.segment }], { start: offset, end: offset + size }),
    );
    for (const { segment } of mine) {
      if (!outer) {
        for (const { worker, segment: held } of overlaps(this.#lead, segment)) {
          await channel.receiveSegment(worker, "parameters", { step }, held, (values, start) =>
            stage.write("parameters", values, start),
          );
        }
        continue;
      }
      stage.write("parameters", outer.part("anchor", segment), segment.start);
      // Where only the largest are sent, what is left unsaid would be added yet.
      if (strategy.bits === 2) outer.part("carried", segment).fill(0);
      for (const { worker, segment: held } of overlaps(this.#followers, segment)) {
        channel.sendSegment(worker, "parameters", { step }, held, outer.part("anchor", held));
      }
    }
  }

  /** Resolves when no exchange is under way: then the outer state is whole. */
  async settle(): Promise<void> {
    await Promise.all(this.#underWay.values());
  }

  /** Calls back once no exchange is under way of those that have begun by now. The next one waits for that. */
  async whenSettled(copy: () => void): Promise<void> {
    const copied = this.settle().then(copy);
    // A failed exchange is met where it takes effect.
    this.#copied = copied.catch(() => {});
    return copied;
  }

  get #keep(): number | "unsaid" {
    const { bits, merge } = this.#parts.strategy;
    return bits === 2 ? "unsaid" : merge;
  }

  /** `keep`: see `OuterState.merge`. */
  async #takeEffect(outer: OuterState, step: number, fragments: readonly number[], keep: number | "unsaid") {
    const { stage, channel } = this.#parts;
    const segments = fragments.flatMap((fragment) => this.#segments(fragment));
    const local = split(await stage.read("parameters", segments), segments);
    for (const [segment, values] of local) {
      outer.merge(segment, values, keep);
      stage.write("parameters", values, segment.start);
      for (const { worker, segment: part } of overlaps(this.#followers, segment)) {
        const own = values.subarray(part.start - segment.start, part.end - segment.start);
        channel.sendSegment(worker, "parameters", { step }, part, own);
      }
    }
  }

  /** Takes the values that the lead replica's stages hold after a merge. */
  async #follow(step: number, fragments: readonly number[]): Promise<void> {
    const { stage, channel } = this.#parts;
    const parts = fragments
      .flatMap((fragment) => this.#segments(fragment))
      .flatMap((segment) => overlaps(this.#lead, segment));
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
