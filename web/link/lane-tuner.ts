// How many lanes a link should send over: one at first; twice as many are tried while frames wait for room, and kept
// if they carry noticeably more. On a path that one connection fills, or where processors are the limit, it stays
// at one.
// Not here: opening lanes (pair.ts), taking the samples (link.ts).

export const SAMPLE_MS = 250;
/** After a change, what is sent is not counted for this long: a new connection begins slowly. */
const SETTLE_MS = 500;
/** A number of lanes is judged by this much time of full buffers. */
const MEASURE_MS = 1000;
/** More lanes are kept if they carry at least this much more. */
const GAIN = 1.1;
/** Lanes asked for that are not there after this much waiting are given up. */
const OPEN_MS = 10_000;
/** After a try that gained nothing, the next comes after this much time of full buffers; then after twice as much. */
const PAUSE_MS = 5000;
const LONGEST_PAUSE_MS = 80_000;

/** What happened in a link for a while. */
export interface TrafficSample {
  readonly ms: number;
  /** Bytes that left the buffers. */
  readonly bytes: number;
  /** Whether frames were waiting for room all along. */
  readonly busy: boolean;
  /** Lanes that are ready. */
  readonly lanes: number;
}

export class LaneTuner {
  readonly #most: number;
  /** The number that measured best so far. */
  #best = 1;
  /** What is in use, or asked for, at present. */
  #wanted = 1;
  #bestRate = 0;
  /** What a larger number carried, until the best one is measured again. */
  #tried: { readonly lanes: number; readonly rate: number } | undefined;
  #settleMs = SETTLE_MS;
  #openMs = 0;
  #pauseMs = 0;
  #nextPauseMs = PAUSE_MS;
  #ms = 0;
  #bytes = 0;

  /** @param most a power of 2 */
  constructor(most: number) {
    this.#most = most;
  }

  get wanted(): number {
    return this.#wanted;
  }

  add({ ms, bytes, busy, lanes }: TrafficSample): void {
    if (this.#most === 1) return;
    if (!busy || lanes < this.#wanted) {
      this.#settleMs = SETTLE_MS;
      if (lanes >= this.#wanted) return;
      this.#openMs += ms;
      if (this.#openMs > OPEN_MS) this.#judge(0);
      return;
    }
    this.#pauseMs -= ms;
    if (this.#settleMs > 0) {
      this.#settleMs -= ms;
      return;
    }
    this.#ms += ms;
    this.#bytes += bytes;
    if (this.#ms >= MEASURE_MS) this.#judge(this.#bytes / this.#ms);
  }

  /**
   * `rate`: bytes a millisecond over the lanes in use. The number before is measured again after a try: what grows
   * by itself, as a connection does in its first seconds, is no gain.
   */
  #judge(rate: number): void {
    if (this.#wanted > this.#best) {
      this.#tried = { lanes: this.#wanted, rate };
      this.#use(this.#best);
      return;
    }
    const before = Math.max(rate, this.#bestRate);
    this.#bestRate = rate;
    if (this.#tried && this.#tried.rate > GAIN * before) {
      this.#best = this.#tried.lanes;
      this.#bestRate = this.#tried.rate;
      this.#nextPauseMs = PAUSE_MS;
    } else if (this.#tried) {
      this.#pauseMs = this.#nextPauseMs;
      this.#nextPauseMs = Math.min(LONGEST_PAUSE_MS, 2 * this.#nextPauseMs);
    }
    this.#tried = undefined;
    this.#use(this.#pauseMs > 0 ? this.#best : Math.min(this.#most, 2 * this.#best));
  }

  #use(lanes: number): void {
    if (lanes !== this.#wanted) this.#settleMs = SETTLE_MS;
    this.#wanted = lanes;
    this.#openMs = 0;
    this.#ms = 0;
    this.#bytes = 0;
  }
}
