// Runs contenders in turn and takes the time: each is checked first, warmed up, then one sample each a round, so that
// what slows the machine down for a while hits all of them alike.
import { Skipped, type ContenderName } from "./contender.ts";
import type { Row } from "./result.ts";

/** A contender that is ready to run, its inputs on the GPU. */
export interface Prepared {
  /** What is wrong with its result, or null. */
  check(): Promise<string | null>;
  /** Does the work `times` times and waits for the GPU. */
  run(times: number): Promise<void>;
  dispose(): void;
}

export interface Entry {
  readonly contender: ContenderName;
  /** @throws Skipped */
  prepare(): Promise<Prepared>;
}

/** A sample is made at least this long by repeating short work, so that the wait for the GPU does not count. */
const SAMPLE_SECONDS = 0.25;
const MOST_TIMES = 32;
/** A contender that takes longer than this is sampled less often. */
const SLOW_SECONDS = 20;
const SLOW_SAMPLES = 3;
/** A contender that does not come back is given up. */
const TIMEOUT_SECONDS = 600;

interface Runner extends Prepared {
  readonly contender: ContenderName;
  readonly times: number;
  readonly samples: number;
  readonly seconds: number[];
}

/** Rows in the order of `entries`. `say` takes a line of progress. */
export async function runRounds(
  entries: readonly Entry[],
  rounds: number,
  say: (line: string) => void,
): Promise<Row[]> {
  const rows = new Map<ContenderName, Row>();
  const runners: Runner[] = [];
  for (const entry of entries) {
    const { contender } = entry;
    say(`${contender}: check and warm-up`);
    const ready = await guarded(contender, () => warmUp(entry, rounds));
    if ("outcome" in ready) rows.set(contender, ready);
    else runners.push(ready);
    say(
      "outcome" in ready && "why" in ready
        ? `${contender}: ${ready.outcome}: ${ready.why}`
        : `${contender}: right`,
    );
  }
  for (let round = 0; round < rounds; round++) {
    for (const runner of runners) {
      const { contender, times, samples, seconds } = runner;
      if (rows.has(contender) || seconds.length >= samples) continue;
      const taken = await guarded(contender, () => timed(runner, times));
      if (typeof taken === "object") {
        rows.set(contender, taken);
        say(`${contender}: failed`);
      } else {
        seconds.push(taken / times);
        say(`round ${round + 1} of ${rounds}: ${contender} ${(taken / times).toPrecision(3)} s`);
      }
    }
  }
  for (const { contender, seconds, times, dispose } of runners) {
    dispose();
    if (!rows.has(contender)) rows.set(contender, { outcome: "measured", contender, seconds, times });
  }
  return entries.map(({ contender }) => rows.get(contender)!);
}

async function warmUp({ contender, prepare }: Entry, rounds: number): Promise<Runner | Row> {
  const prepared = await prepare();
  const why = await prepared.check();
  if (why) {
    prepared.dispose();
    return { outcome: "wrong", contender, why };
  }
  const once = await timed(prepared, 1);
  const times = Math.min(MOST_TIMES, Math.max(1, Math.ceil(SAMPLE_SECONDS / once)));
  const samples = once > SLOW_SECONDS ? Math.min(rounds, SLOW_SAMPLES) : rounds;
  return { ...prepared, contender, times, samples, seconds: [] };
}

async function timed(prepared: Prepared, times: number): Promise<number> {
  const start = performance.now();
  await prepared.run(times);
  return (performance.now() - start) / 1000;
}

/** What `work` gives, or the row for what it throws: one contender's trouble leaves the others alone. */
async function guarded<T>(contender: ContenderName, work: () => Promise<T>): Promise<T | Row> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const timeout = new Promise<never>((_, reject) => {
    const late = () => reject(new Error(`no answer in ${TIMEOUT_SECONDS} s`));
    timer = setTimeout(late, TIMEOUT_SECONDS * 1000);
  });
  try {
    return await Promise.race([work(), timeout]);
  } catch (error) {
    const why = error instanceof Error ? error.message.split("\n")[0]! : String(error);
    return { outcome: error instanceof Skipped ? "skipped" : "failed", contender, why };
  } finally {
    clearTimeout(timer);
  }
}
