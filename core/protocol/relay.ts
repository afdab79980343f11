// What is said on a relay socket besides the pages' own binary messages, which the server passes on unread.
// Not here: how pages come to use it (web/link/relay-exchange.ts), how a call is announced (control.ts).
import { z } from "zod";

export const RELAY_PATH = "/relay";
/** Larger messages end the connection; a chunk of a frame is smaller. */
export const MAX_RELAY_BYTES = 128 * 1024;
/** A page may have this much on its way to the other: more than that is not passed on but ends the connection. */
export const RELAY_CREDIT_BYTES = 2 * 1024 * 1024;

/** First words of a page. `key` is what the server gave it when it joined. */
export const RelayGreeting = z.discriminatedUnion("type", [
  z.strictObject({
    type: z.literal("call"),
    key: z.string().max(100),
    to: z.string().max(100),
    link: z.uuid(),
  }),
  z.strictObject({ type: z.literal("answer"), key: z.string().max(100), call: z.uuid() }),
]);
export type RelayGreeting = z.infer<typeof RelayGreeting>;

/** Words of the server: both pages are there; or, so many more bytes of yours have been passed on. */
export const RelayWord = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("open") }),
  z.strictObject({ type: z.literal("passed"), bytes: z.number().int().positive() }),
]);
export type RelayWord = z.infer<typeof RelayWord>;
