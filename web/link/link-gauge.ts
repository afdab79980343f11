// A link as it measures itself: probes it while it has nothing to send, and samples what leaves its buffers as long as
// frames are under way; of both, how fast it is and how many lanes are of use.
// Not here: what follows from probes and samples (burst.ts, link-meter.ts, lane-tuner.ts), lanes and frames (link.ts).
import type { LinkFigure } from "../../core/plan/speed.ts";
import { Burst } from "./burst.ts";
import type { Lane } from "./lane.ts";
import { LaneTuner, SAMPLE_MS } from "./lane-tuner.ts";
import { LinkMeter } from "./link-meter.ts";

/** How a link is at a moment. */
export interface Traffic {
  /** Whether a frame waits for room. */
  readonly waits: boolean;
  /** Whether no frame is under way. */
  readonly idle: boolean;
  /** Bytes in the buffers of lanes. */
  readonly buffered: number;
  /** Direct ones that are ready. */
  readonly lanes: number;
}

/** What it needs of its link. */
export interface GaugeUser {
  traffic(): Traffic;
  /** A sample was taken, and no frame waits for room. */
  onRest(): void;
  /** Another number of lanes is of use. */
  onWantedLanes(): void;
}

export class LinkGauge {
  readonly #user: GaugeUser;
  readonly #tuner: LaneTuner;
  readonly #meter = new LinkMeter();
  readonly #burst = new Burst();
  #sampling: ReturnType<typeof setInterval> | undefined;
  /** Of frames, to lanes. */
  #handedBytes = 0;
  /** Whether there was a moment without a frame that waited for room since the last sample. */
  #ranDry = true;
  /** When the sample under way began, and what had left the buffers by then. */
  #began = { ms: 0, sent: 0 };

  /** @param mostLanes a power of 2 */
  constructor(mostLanes: number, user: GaugeUser) {
    this.#user = user;
    this.#tuner = new LaneTuner(mostLanes);
  }

  get wantedLanes(): number {
    return this.#tuner.wanted;
  }

  /** Towards the other side; undefined before it was measured. */
  get speed(): LinkFigure | undefined {
    return this.#meter.speed;
  }

  /** Goes on with the burst, if it may: its next probes go over `lane`, which is quiet. */
  probe(lane: Lane): void {
    const round = this.#burst.begin();
    for (let i = 0; i < (round?.probes ?? 0); i++) lane.probe(round!.bytes);
  }

  /** A probe of so many bytes came back. */
  echoed(bytes: number, ms: number): void {
    if (bytes === 0) this.#meter.roundTrip(ms);
    const round = this.#burst.echoed(bytes, ms);
    if (round && bytes > 0) this.#meter.probed(round.probes * bytes, ms);
  }

  /** A piece of a frame was handed to a lane. */
  handed(bytes: number): void {
    this.#handedBytes += bytes;
  }

  /** So much of frames has arrived in a time in which some was under way. */
  carried(bytes: number, ms: number): void {
    this.#meter.managed(bytes, ms);
  }

  /** What a lane had in its buffer is gone with it, but was not sent: the sample begins anew. */
  loseLane(): void {
    this.#burst.lose();
    this.#begin();
  }

  /** Frames may have come, or found room: samples are taken as long as some are under way. */
  watch(): void {
    const { waits, idle } = this.#user.traffic();
    if (!waits) this.#ranDry = true;
    if (this.#sampling || idle) return;
    this.#ranDry = !waits;
    this.#begin();
    this.#sampling = setInterval(() => this.#sample(), SAMPLE_MS);
  }

  stop(): void {
    clearInterval(this.#sampling);
    this.#sampling = undefined;
  }

  #begin(): void {
    this.#began = { ms: performance.now(), sent: this.#handedBytes - this.#user.traffic().buffered };
  }

  #sample(): void {
    const { waits: busy, lanes } = this.#user.traffic();
    const before = this.#tuner.wanted;
    const { ms: began, sent } = this.#began;
    this.#begin();
    const sample = { ms: this.#began.ms - began, bytes: this.#began.sent - sent, busy, lanes };
    this.#tuner.add(sample);
    if (!this.#ranDry) this.#meter.carried(sample.bytes, sample.ms);
    this.#ranDry = !busy;
    if (!busy) this.#user.onRest();
    if (this.#user.traffic().idle) this.stop();
    if (this.#tuner.wanted !== before) this.#user.onWantedLanes();
  }
}
