// The words after `npm run bench -- paced`.
import { parseArgs } from "node:util";
import { UserError } from "../../../server/errors.ts";
import { parseCount } from "../../../server/options.ts";

export const PACED_USAGE = "npm run bench -- paced [--steps N] [--out FILE.json]";

/** Fewer would not outlast the steps that are not counted. */
const FEWEST = 10;
const MOST = 10_000;

export interface PacedOptions {
  readonly steps: number;
  /** Where the result goes; by default into docs/benchmarks. */
  readonly out: string | null;
}

/** @throws UserError naming the word that is not understood */
export function parsePacedOptions(args: string[]): PacedOptions {
  const { steps = "200", out } = words(args);
  return { steps: parseCount("--steps", steps, FEWEST, MOST), out: out ?? null };
}

function words(args: string[]) {
  const value = { type: "string" } as const;
  try {
    return parseArgs({ args, options: { steps: value, out: value } }).values;
  } catch (error) {
    const [what] = (error as Error).message.split(/[.\n]/);
    throw new UserError(`${what}: ${PACED_USAGE}`);
  }
}
