// The search for the fastest variant of each shape class, within a budget of time: each candidate is checked before
// it is timed, and another than the table's must be clearly faster.
// Not here: what is tried (candidates.ts), how it is run (contest.ts), what is remembered (tuning-record.ts).
import type { TuningRecord } from "./tuning-record.ts";

/** A candidate at work. Its name is that of its kernel and variant. */
export interface Contender {
  readonly name: string;
  /** Whether it computes what it should. */
  check(): Promise<boolean>;
  /** Milliseconds of a run at the class's size; null when it fails. */
  time(): Promise<number | null>;
}

export interface Contest {
  /** The table's first. */
  readonly contenders: readonly Contender[];
  close(): void;
}

/** A shape class and how to open its contest. */
export interface Entry {
  readonly key: string;
  open(): Promise<Contest>;
}

const ROUNDS = 5;
/** Another than the table's takes at most this share of its time. */
const CLEARLY_FASTER = 0.95;
/** What takes this many times as long as the fastest in the first round is out. */
const FAR_BEHIND = 1.5;

export class Budget {
  readonly #now: () => number;
  readonly #end: number;
  #last: number;
  #longest = 0;

  constructor(ms: number, now: () => number = () => performance.now()) {
    this.#now = now;
    this.#last = now();
    this.#end = this.#last + ms;
  }

  /** Asked before each run: whether one as long as the longest so far would still end in time. */
  allows(): boolean {
    const now = this.#now();
    this.#longest = Math.max(this.#longest, now - this.#last);
    this.#last = now;
    return now + this.#longest <= this.#end;
  }
}

/** Settles the classes that the record does not know, in order, as far as the budget goes. */
export async function search(entries: readonly Entry[], record: TuningRecord, budget: Budget): Promise<void> {
  const open = entries.filter(({ key }) => record.best(key) === undefined);
  for (const [i, { key, open: openContest }] of open.entries()) {
    if (!budget.allows()) return;
    const contest = await openContest();
    try {
      const able = () => contest.contenders.filter(({ name }) => !record.isBad(name));
      const times = await measure(able(), record, budget);
      // A class that did not come to an end with the whole budget never will: it keeps the table's.
      const unfinished = i === 0 ? able()[0]?.name : undefined;
      const best = times ? fastest(times, contest.contenders[0]!.name) : unfinished;
      if (best !== undefined) await record.settle(key, best);
      if (!times) return;
    } finally {
      contest.close();
    }
  }
}

/** Times by candidate, of those that work; null when the budget is used up. */
async function measure(
  contenders: readonly Contender[],
  record: TuningRecord,
  budget: Budget,
): Promise<Map<string, number[]> | null> {
  const times = new Map<string, number[]>();
  for (const contender of contenders) {
    if (!budget.allows()) return null;
    await record.trying(contender.name);
    const ms = (await contender.check()) ? await contender.time() : null;
    if (ms !== null) times.set(contender.name, [ms]);
    await record.done(contender.name, ms !== null);
  }
  const first = Math.min(...[...times.values()].flat());
  const racing = contenders.filter(({ name }, i) => {
    const [ms] = times.get(name) ?? [Infinity];
    return ms! <= FAR_BEHIND * first || (i === 0 && times.has(name));
  });
  // In turns, so that a GPU that warms up or is used by others does so to all.
  for (let round = 1; round < ROUNDS; round++) {
    for (const contender of racing) {
      if (!budget.allows()) return null;
      times.get(contender.name)!.push((await contender.time()) ?? Infinity);
    }
  }
  return new Map(racing.map(({ name }) => [name, times.get(name)!]));
}

/** By the median; the table's unless another is clearly faster. */
export function fastest(times: ReadonlyMap<string, readonly number[]>, table: string): string | undefined {
  const medians = new Map(Array.from(times, ([name, runs]) => [name, median(runs)]));
  const least = Math.min(...medians.values());
  const tables = medians.get(table);
  if (tables !== undefined && !(least < CLEARLY_FASTER * tables)) return table;
  return [...medians.keys()].find((name) => medians.get(name) === least);
}

/** Infinite where the clock is too coarse to see a run, and says 0. */
function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]! || Infinity;
}
