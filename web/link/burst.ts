// What a new link sends to find out how fast it is: a few empty probes one after the other, then rounds of full ones,
// each twice as long, as far as half a second goes: less than half a MiB. The other side echoes each probe.
// Not here: when a round may go out (link.ts), sending and timing probes (lane.ts), what is known of a link
// (link-meter.ts).

const PROBE_BYTES = 15 * 1024;
/** Of empty probes at first; of full ones, the longest of which a lane may still have unsent at once. */
const EMPTY_ROUNDS = 3;
const ROUNDS = [2, 4, 8, 16];
/** A round that would end later than this is not begun. */
const MOST_MS = 500;

/** So many probes of so many bytes, sent at once. */
export interface Round {
  readonly probes: number;
  readonly bytes: number;
}

export class Burst {
  #rounds: Round[] = [
    ...Array.from({ length: EMPTY_ROUNDS }, () => ({ probes: 1, bytes: 0 })),
    ...ROUNDS.map((probes) => ({ probes, bytes: PROBE_BYTES })),
  ];
  /** Probes of the first round that are under way. */
  #missing = 0;
  #passed = 0;

  /** The next round, which is under way from now on; undefined while another is, or when there is none left. */
  begin(): Round | undefined {
    const [round] = this.#rounds;
    if (!round || this.#missing > 0) return undefined;
    this.#missing = round.probes;
    return round;
  }

  /** A probe of so many bytes came back, `ms` after it was sent. The round, if that was the last of it. */
  echoed(bytes: number, ms: number): Round | undefined {
    const [round] = this.#rounds;
    if (this.#missing === 0 || bytes !== round!.bytes || --this.#missing > 0) return undefined;
    this.#passed += ms;
    this.#rounds = this.#passed + 2 * ms > MOST_MS ? [] : this.#rounds.slice(1);
    return round;
  }

  /** What is under way will not come back. */
  lose(): void {
    this.#missing = 0;
  }
}
