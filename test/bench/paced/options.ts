// The words after `npm run bench -- paced`.
import { parseCount } from "../../../server/options.ts";
import { optionValues } from "../words.ts";

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
  const { steps = "200", out } = optionValues(args, ["steps", "out"], PACED_USAGE);
  return { steps: parseCount("--steps", steps, FEWEST, MOST), out: out ?? null };
}
