// How fast a link is, towards the other side. By the burst it begins with and by single transfers it is known to be no
// slower than something; how fast it is shows when frames have filled it.
// Not here: clocks and lanes (link.ts, lane.ts), how many lanes are best (lane-tuner.ts).
import type { LinkFigure } from "../../core/plan/speed.ts";

/** What was known of the rate counts half after this much time of full buffers. */
const HALF_MS = 1000;
/** The shortest of so many round trips counts: others had to wait, here or there. */
const ROUND_TRIPS = 8;
/** Clocks of browsers are no finer. */
const FINEST_MS = 1;

export class LinkMeter {
  /** Bytes a millisecond. */
  #rate = 0;
  #filled = false;
  #roundTrips: number[] = [];

  /** An empty probe came back after so long. */
  roundTrip(ms: number): void {
    this.#roundTrips = [...this.#roundTrips.slice(1 - ROUND_TRIPS), ms];
  }

  /**
   * Bytes that were sent at once were known to have arrived after so long: the link is no slower than that, whatever of
   * it was the way there and back or a busy page.
   */
  probed(bytes: number, ms: number): void {
    this.#rate = Math.max(this.#rate, bytes / Math.max(FINEST_MS, ms));
  }

  /** So much left the buffers in a time in which frames waited for room all along. */
  carried(bytes: number, ms: number): void {
    // Timers may come closer together than the clock is fine, and the link's own words join what waits.
    if (ms <= 0) return;
    const old = this.#filled ? 2 ** (-ms / HALF_MS) : 0;
    this.#rate = old * this.#rate + (1 - old) * (Math.max(0, bytes) / ms);
    this.#filled = true;
  }

  /** The same where some of the time may have passed with nothing to send: that is no first figure. */
  managed(bytes: number, ms: number): void {
    if (this.#rate > 0) this.probed(bytes, ms);
  }

  /** Undefined before both were measured. */
  get speed(): LinkFigure | undefined {
    if (this.#rate === 0 || this.#roundTrips.length === 0) return undefined;
    return { bytesPerSecond: 1000 * this.#rate, delay: this.#shortest / 2 / 1000, filled: this.#filled };
  }

  get #shortest(): number {
    return Math.min(...this.#roundTrips);
  }
}
