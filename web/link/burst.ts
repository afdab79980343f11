// What a new link sends to find out how fast it is: a few empty probes one after the other, then two rounds of full
// ones, 7 KB in all, so that even a short run's bytes are its own. The other side echoes each probe. A round is twice as
// long as the one before if that will take no more than half a second; else it is as long again, and waits for a
// heartbeat: what made the last one slow may have been a busy page.
// Not here: when a round may go out (link.ts), sending and timing probes (lane.ts), what is known of a link
// (link-meter.ts).

/** Fits into one packet. */
const PROBE_BYTES = 1200;
const EMPTY_ROUNDS = 3;
const FULL_ROUNDS = 2;
const FIRST_PROBES = 2;
const MOST_MS = 500;

/** So many probes of so many bytes, sent at once. */
export interface Round {
  readonly probes: number;
  readonly bytes: number;
}

export class Burst {
  #round: Round = { probes: 1, bytes: 0 };
  #left = EMPTY_ROUNDS + FULL_ROUNDS;
  /** Probes of the round that are under way. */
  #missing = 0;
  #resting = false;

  /** The next round, which is under way from now on; undefined while another is, or none may be. */
  begin(): Round | undefined {
    if (this.#missing > 0 || this.#left === 0 || this.#resting) return undefined;
    this.#missing = this.#round.probes;
    return this.#round;
  }

  /** A probe of so many bytes came back, `ms` after it was sent. The round, if that was the last of it. */
  echoed(bytes: number, ms: number): Round | undefined {
    const round = this.#round;
    // A heartbeat's.
    if (this.#missing === 0) this.#resting = false;
    if (this.#missing === 0 || bytes !== round.bytes || --this.#missing > 0) return undefined;
    this.#left--;
    if (bytes === 0) {
      if (this.#left === FULL_ROUNDS) this.#round = { probes: FIRST_PROBES, bytes: PROBE_BYTES };
    } else if (2 * ms <= MOST_MS) this.#round = { ...round, probes: 2 * round.probes };
    else this.#resting = true;
    return round;
  }

  /** What is under way will not come back. */
  lose(): void {
    this.#missing = 0;
  }
}
