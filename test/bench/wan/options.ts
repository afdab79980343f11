// The words after `npm run bench -- wan`.
import { parseCount } from "../../../server/options.ts";
import { parseNetwork, type Network } from "../network.ts";
import { optionValues } from "../words.ts";

export const WAN_USAGE =
  "npm run bench -- wan [--wan DELAY_MS:MBIT:LOSS_PERCENT] [--steps N] [--out FILE.json]";

/** Fewer would be over before the first exchange of `rounds`. */
const FEWEST = 20;
const MOST = 10_000;

export interface WanOptions {
  readonly network: Network;
  readonly steps: number;
  /** Where the result goes; by default into docs/benchmarks. */
  readonly out: string | null;
}

/** @throws UserError naming the word that is not understood */
export function parseWanOptions(args: string[]): WanOptions {
  const { wan = "25:20:0.1", steps = "120", out } = optionValues(args, ["wan", "steps", "out"], WAN_USAGE);
  return { network: parseNetwork(wan), steps: parseCount("--steps", steps, FEWEST, MOST), out: out ?? null };
}
