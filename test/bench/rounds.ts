// Runs contenders in turn and takes the time: each is checked first, warmed up, then one sample each a round, so that
// what slows the machine down for a while hits all of them alike.
import { Skipped } from "./contender.ts";
import { type ContenderName } from "./names.ts";
import type { Row } from "./result.ts";

/** A contender that is ready to run, its inputs on the GPU. */
export interface Prepared {
  /** What is wrong with its result, or null. */
  check(): Promise<string | null>;
  /** Does the work `times` times and waits for the GPU. */
  run(times: number): Promise<void>;
  /** What is left to do with it after its last sample. */
  finish?(): Promise<void>;
  dispose(): void;
}

export interface Entry {
  readonly contender: ContenderName;
  /** @throws Skipped */
  prepare(): Promise<Prepared>;
}

/** Short work is repeated in a sample until it takes about this long: Firefox tells only every 0.1 s what is done. */
const SAMPLE_SECONDS = 1;
const MOST_TIMES = 32;
/** A contender that takes longer than this is sampled less often. */
const SLOW_SECONDS = 20;
const SLOW_SAMPLES = 3;
/** A contender that does not come back is given up. */
const TIMEOUT_SECONDS = 600;

interface Runner {
  readonly contender: ContenderName;
  readonly prepared: Prepared;
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
  const end = (contender: ContenderName, outcome: "wrong" | "failed" | "skipped", why: string) => {
    rows.set(contender, { outcome, contender, why });
    say(`${contender}: ${outcome}: ${why}`);
  };
  /** One contender's trouble leaves the others alone. */
  const guarded = async (contender: ContenderName, work: Promise<void>) => {
    try {
      await inTime(work);
    } catch (error) {
      const why = error instanceof Error ? error.message.split("\n")[0]! : String(error);
      end(contender, error instanceof Skipped ? "skipped" : "failed", why);
    }
  };

  const runners: Runner[] = [];
  const warmUp = async ({ contender, prepare }: Entry) => {
    say(`${contender}: check and warm-up`);
    const prepared = await prepare();
    const wrong = await prepared.check();
    if (wrong) {
      prepared.dispose();
      return end(contender, "wrong", wrong);
    }
    let times = 1;
    let taken = await timed(prepared, times);
    const samples = taken > SLOW_SECONDS ? Math.min(rounds, SLOW_SAMPLES) : rounds;
    while (taken < SAMPLE_SECONDS / 2 && times < MOST_TIMES) {
      times *= 2;
      taken = await timed(prepared, times);
    }
    runners.push({ contender, prepared, times, samples, seconds: [] });
  };
  for (const entry of entries) await guarded(entry.contender, warmUp(entry));

  const sample = async ({ contender, prepared, times, seconds }: Runner) => {
    const each = (await timed(prepared, times)) / times;
    seconds.push(each);
    say(`${contender}: sample ${seconds.length}: ${each.toPrecision(3)} s`);
  };
  for (let round = 0; round < rounds; round++) {
    for (const runner of runners) {
      const { contender, samples } = runner;
      if (round < samples && !rows.has(contender)) await guarded(contender, sample(runner));
    }
  }
  for (const { contender, prepared, seconds, times } of runners) {
    if (!rows.has(contender)) rows.set(contender, { outcome: "measured", contender, seconds, times });
    if (prepared.finish) await guarded(contender, prepared.finish());
    prepared.dispose();
  }
  return entries.map(({ contender }) => rows.get(contender)!);
}

async function timed(prepared: Prepared, times: number): Promise<number> {
  const start = performance.now();
  await prepared.run(times);
  return (performance.now() - start) / 1000;
}

async function inTime(work: Promise<void>): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const timeout = new Promise<never>((_, reject) => {
    const late = () => reject(new Error(`no answer in ${TIMEOUT_SECONDS} s`));
    timer = setTimeout(late, TIMEOUT_SECONDS * 1000);
  });
  try {
    await Promise.race([work, timeout]);
  } finally {
    clearTimeout(timer);
  }
}
