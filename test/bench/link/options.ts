// The words after `npm run bench -- link`.
import { parseArgs } from "node:util";
import { UserError } from "../../../server/errors.ts";
import { parseCount } from "../../../server/options.ts";
import { parseNetwork, type Network } from "../network.ts";
import { type Way, WAYS } from "./result.ts";

export const LINK_USAGE =
  "npm run bench -- link [--wan DELAY_MS:MBIT:LOSS_PERCENT] [--repeats N] [--only NAME,NAME] [--out FILE.json]";

const MOST_ROUNDS = 1000;

export interface LinkOptions {
  /** Null: loopback. */
  readonly network: Network | null;
  readonly rounds: number;
  readonly ways: readonly Way[];
  /** Where the result goes; by default into docs/benchmarks. */
  readonly out: string | null;
}

/** @throws UserError naming the word that is not understood */
export function parseLinkOptions(args: string[]): LinkOptions {
  const { wan, repeats = "5", only, out } = words(args);
  return {
    network: wan === undefined ? null : parseNetwork(wan),
    rounds: parseCount("--repeats", repeats, 1, MOST_ROUNDS),
    ways: only === undefined ? WAYS : [...new Set(only.split(",").map(way))],
    out: out ?? null,
  };
}

function words(args: string[]) {
  const value = { type: "string" } as const;
  try {
    return parseArgs({ args, options: { wan: value, repeats: value, only: value, out: value } }).values;
  } catch (error) {
    // Node's own words; what follows the first sentence is about programs, not people.
    const [what] = (error as Error).message.split(/[.\n]/);
    throw new UserError(`${what}: ${LINK_USAGE}`);
  }
}

function way(name: string): Way {
  const found = WAYS.find((known) => known === name);
  if (found) return found;
  throw new UserError(`--only is '${name}': use ${WAYS.join(" or ")}`);
}
