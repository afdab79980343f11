// What the benchmark of links leaves behind, and what its page and its parts call the ways a transfer can take.
import { z } from "zod";
import { Network } from "../network.ts";

/** Our wide link; one bare data channel; a WebSocket through our server's relay. */
export const WAYS = ["link", "channel", "websocket"] as const;
export type Way = (typeof WAYS)[number];

export const LinkResult = z.strictObject({
  command: z.literal("link"),
  runtime: z.string(),
  date: z.iso.date(),
  processor: z.string(),
  /** Null on loopback. */
  network: Network.nullable(),
  bytes: z.number().int().positive(),
  rows: z.array(
    z.strictObject({
      way: z.enum(WAYS),
      /** Of the first transfers, before the link knows how many lanes to use. */
      first: z.array(z.number().positive()),
      /** A transfer each. */
      seconds: z.array(z.number().positive()).min(1),
      /** Connections of the link that were open at the end of each transfer, first ones included. */
      lanes: z.array(z.number().int()),
    }),
  ),
});
export type LinkResult = z.infer<typeof LinkResult>;
