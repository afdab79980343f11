// What a new link sends to find out how fast it is: a few empty probes one after the other, then rounds of full ones,
// each twice as long, as far as half a second goes: less than half a MiB. The other side echoes each probe.
// Not here: sending and timing probes (lane.ts), what is known of a link (link-meter.ts).

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
  #echoes = 0;
  #passed = 0;

  /** The round that is under way, or the first; undefined when there is none left. */
  get round(): Round | undefined {
    return this.#rounds[0];
  }

  /** One of the round's probes came back, `ms` after it was sent. Returns whether it was the last of the round. */
  echoed(ms: number): boolean {
    const { round } = this;
    if (!round || ++this.#echoes < round.probes) return false;
    this.#echoes = 0;
    this.#passed += ms;
    this.#rounds.shift();
    if (this.#passed + 2 * ms > MOST_MS) this.#rounds = [];
    return true;
  }
}
