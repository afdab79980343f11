// The line between two sites of an emulated network, and how it is written on a command line.
import { z } from "zod";
import { UserError } from "../../server/errors.ts";

export const Network = z.strictObject({
  /** Between the two pages, one way. The server is half way. */
  delayMs: z.number().min(0),
  /** Of each page's own line, in each direction. */
  mbit: z.number().positive(),
  /** Packets that do not arrive between the two pages, percent. */
  loss: z.number().min(0).max(50),
});
export type Network = z.infer<typeof Network>;

/** @throws UserError naming the option and what it should look like */
export function parseNetwork(text: string): Network {
  const [delayMs, mbit, loss, ...rest] = text.split(":").map(Number);
  const parsed = Network.safeParse({ delayMs, mbit, loss });
  if (parsed.success && rest.length === 0) return parsed.data;
  throw new UserError(`--wan is '${text}': give delay in ms, Mbit/s and loss in percent, such as 25:20:0.1`);
}

export const describeNetwork = ({ delayMs, mbit, loss }: Network): string =>
  `${delayMs} ms one way, ${mbit} Mbit/s, ${loss} % loss`;
