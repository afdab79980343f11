// The words after `npm run bench -- plan`.
import { parseCount } from "../../../server/options.ts";
import { optionValues } from "../words.ts";

export const PLAN_USAGE = "npm run bench -- plan [--repeats N] [--out FILE.json]";

const MOST_ROUNDS = 1000;

export interface PlanBenchOptions {
  readonly rounds: number;
  /** Where the result goes; by default into docs/benchmarks. */
  readonly out: string | null;
}

/** @throws UserError naming the word that is not understood */
export function parsePlanOptions(args: string[]): PlanBenchOptions {
  const { repeats = "5", out } = optionValues(args, ["repeats", "out"], PLAN_USAGE);
  return { rounds: parseCount("--repeats", repeats, 1, MOST_ROUNDS), out: out ?? null };
}
