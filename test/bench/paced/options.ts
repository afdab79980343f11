// The words after `npm run bench -- paced`.
import { UserError } from "../../../server/errors.ts";
import { parseCount } from "../../../server/options.ts";
import { optionValues } from "../words.ts";

export const PACED_USAGE = "npm run bench -- paced [--steps N] [--only NAME,NAME] [--out FOLDER]";

/** Fewer would not outlast the steps that are not counted. */
const FEWEST = 10;
const MOST = 10_000;

/** What is measured: clusters, and one of whose workers one is slowed. */
export const PACED_PARTS = ["one-site", "two-sites", "slowed"] as const;
export type PacedPart = (typeof PACED_PARTS)[number];

export interface PacedOptions {
  readonly steps: number;
  readonly parts: readonly PacedPart[];
  /** Where the results go; by default into docs/benchmarks. */
  readonly out: string | null;
}

/** @throws UserError naming the word that is not understood */
export function parsePacedOptions(args: string[]): PacedOptions {
  const { steps = "200", only, out } = optionValues(args, ["steps", "only", "out"], PACED_USAGE);
  return {
    steps: parseCount("--steps", steps, FEWEST, MOST),
    parts: only === undefined ? PACED_PARTS : [...new Set(only.split(",").map(part))],
    out: out ?? null,
  };
}

function part(name: string): PacedPart {
  const known = PACED_PARTS.find((part) => part === name);
  if (!known) throw new UserError(`--only '${name}': it takes ${PACED_PARTS.join(", ")}`);
  return known;
}
