// The words after a bench's name, for benches whose options all take a value.
import { parseArgs } from "node:util";
import { UserError } from "../../server/errors.ts";

/** @throws UserError naming the word that is not understood, and `usage` */
export function optionValues<K extends string>(
  args: string[],
  names: readonly K[],
  usage: string,
): Partial<Record<K, string>> {
  const options = Object.fromEntries(names.map((name) => [name, { type: "string" as const }]));
  try {
    return parseArgs({ args, options }).values as Partial<Record<K, string>>;
  } catch (error) {
    const [what] = (error as Error).message.split(/[.\n]/);
    throw new UserError(`${what}: ${usage}`);
  }
}
