// How much of a wide link's frames the network may hold at once, over all its lanes. A connection in a browser that
// overfills the queue before a slow line loses a stretch of packets and may then stand almost still for half a minute;
// so the window grows only while chunks arrive about as soon as they would on an empty path.
// Not here: what goes over which lane (link.ts).

/** Keeps a line of 20 Mbit/s busy over 100 ms, and two processes of one machine. */
const LEAST_BYTES = 384 * 1024;
const MOST_BYTES = 8 * 1024 * 1024;
const STEP_BYTES = 64 * 1024;
/** Against the shortest time a chunk took: below, the window grows; above, it shrinks. */
const EMPTY = 1.5;
const FULL = 2;

export class Window {
  #bytes = LEAST_BYTES;
  #shortest = Infinity;
  /** When the size was last changed: chunks sent before say nothing about it. */
  #changed = 0;

  get bytes(): number {
    return this.#bytes;
  }

  /** The least time in which a chunk arrived, ms. */
  get shortest(): number {
    return this.#shortest;
  }

  /**
   * A chunk that was handed to its lane at `sent` (ms) is known at `now` to have arrived. `full`: frames had to wait
   * for the window.
   */
  arrived(sent: number, now: number, full: boolean): void {
    const took = Math.max(1, now - sent);
    this.#shortest = Math.min(this.#shortest, took);
    if (sent < this.#changed) return;
    this.#changed = now;
    if (full && took < EMPTY * this.#shortest) this.#bytes = Math.min(MOST_BYTES, this.#bytes + STEP_BYTES);
    else if (took > FULL * this.#shortest) this.#bytes = Math.max(LEAST_BYTES, (this.#bytes * 7) / 8);
  }
}
