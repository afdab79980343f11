// The words after `npm run bench -- plan`.
import { parseArgs } from "node:util";
import { UserError } from "../../../server/errors.ts";
import { parseCount } from "../../../server/options.ts";

export const PLAN_USAGE = "npm run bench -- plan [--repeats N] [--out FILE.json]";

const MOST_ROUNDS = 1000;

export interface PlanBenchOptions {
  readonly rounds: number;
  /** Where the result goes; by default into docs/benchmarks. */
  readonly out: string | null;
}

/** @throws UserError naming the word that is not understood */
export function parsePlanOptions(args: string[]): PlanBenchOptions {
  const { repeats = "5", out } = words(args);
  return { rounds: parseCount("--repeats", repeats, 1, MOST_ROUNDS), out: out ?? null };
}

function words(args: string[]) {
  const value = { type: "string" } as const;
  try {
    return parseArgs({ args, options: { repeats: value, out: value } }).values;
  } catch (error) {
    const [what] = (error as Error).message.split(/[.\n]/);
    throw new UserError(`${what}: ${PLAN_USAGE}`);
  }
}
