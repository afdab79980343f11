// Control messages: small JSON over the WebSocket, checked by these schemas on both ends. Types are inferred.
// Not here: binary frames between workers (frame.ts), events for people and programs (events.ts).
import { z } from "zod";
import { RunConfig } from "../model/config.ts";
import { Take } from "../plan/moves.ts";
import { Plan, PlannedLink } from "../plan/plan.ts";
import { PeerSpeed, WorkerSpeed } from "../plan/speed.ts";
import { History, RunEvent, Snapshot } from "./events.ts";

export const PROTOCOL_VERSION = 5;
export const MAX_CONTROL_BYTES = 64 * 1024;
/** Only the history that a viewer starts from may be longer. */
export const MAX_VIEWER_BYTES = 4 * 1024 * 1024;
/** Links that a worker tells of: no plan gives it more, short of hundreds of sites. */
export const MOST_PEERS = 256;

const index = z.number().int().min(0);
/** Characters of what people are to read. */
const MAX_TEXT = 2000;
const text = z.string().max(MAX_TEXT);

/** What messages say of an error: its message, as much of it as there is room for. */
export const errorText = (error: unknown): string =>
  (error instanceof Error ? error.message : String(error)).slice(0, MAX_TEXT);
const generation = index;
const step = index;
const seconds = z.number().min(0);
export const Hash = z.string().regex(/^[0-9a-f]{64}$/);

/** A site's name as people type it. */
export const SiteName = z
  .string()
  .regex(/^[a-z0-9][a-z0-9-]{0,19}$/i, "use letters, digits and '-', 20 at most");

export const Gpu = z.strictObject({
  vendor: text,
  architecture: text,
  description: text,
  browser: text,
  features: z.array(text).max(64),
  maxBufferSize: index,
  maxStorageBufferBindingSize: index,
});
export type Gpu = z.infer<typeof Gpu>;

/** Bytes put on data channels and relays since the run began on this worker, by link kind, then by frame kind or "link". */
export const ByteCounts = z.strictObject({
  site: z.record(z.string().max(40), index),
  wide: z.record(z.string().max(40), index),
});
export type ByteCounts = z.infer<typeof ByteCounts>;

/** How a worker spent its time since it last said so, seconds: see web/worker/meter.ts. */
export const Times = z.strictObject({
  passed: seconds,
  /** Of which nothing was computed because something was still to come. */
  waited: seconds,
  /** An exchange with other sites was under way; and of that, waited for it to end. */
  exchanging: seconds,
  exposed: seconds,
});
export type Times = z.infer<typeof Times>;

/** `site`: whose own state it is, where sites differ between exchanges (strategy `rounds`). */
export const Shard = z.strictObject({
  hash: Hash,
  bytes: index,
  tensors: z.array(z.string().max(200)),
  site: SiteName.optional(),
});
export type Shard = z.infer<typeof Shard>;

/**
 * What a training worker does. Waiting: for other workers or for orders, and for nothing else. Stalled: its
 * GPU has work, and has finished none since the last time that it was asked.
 */
export const Doing = z.enum(["working", "waiting", "stalled"]);
export type Doing = z.infer<typeof Doing>;

/** What a worker or a viewer (coordinator page, `tributary run`) says to the server. */
export const ClientMessage = z.discriminatedUnion("type", [
  z.strictObject({
    type: z.literal("join"),
    protocol: index,
    token: z.string().max(200),
    site: SiteName,
    name: z.string().min(1).max(60),
    gpu: Gpu,
  }),
  z.strictObject({ type: z.literal("watch"), protocol: index, token: z.string().max(200) }),
  /** Connection set-up data for another worker, passed on unread. */
  z.strictObject({ type: z.literal("signal"), to: z.string().max(100), data: z.string().max(32 * 1024) }),
  /** The assignment is loaded and every link it needs is open. */
  z.strictObject({ type: z.literal("prepared"), generation, stageBytes: index }),
  /** Gradients of the step are reduced; sums are over this worker's share. `loss` only from a head stage. */
  z.strictObject({
    type: z.literal("ready"),
    generation,
    step,
    /** Squared L2 norm of the summed gradient of the parameters the stage owns, null when not finite. */
    squaredNorm: z.number().nullable(),
    /** Sum of -ln p over the replica's tokens, null when not finite; absent where there is no head. */
    lossSum: z.number().nullable().optional(),
    tokens: index,
    times: Times,
    /** As of this step; absent until one was measured. */
    speed: WorkerSpeed.optional(),
    /** This worker's links, the first time in a generation and when one has changed. */
    links: z.array(PeerSpeed).max(MOST_PEERS).optional(),
    bytes: ByteCounts,
  }),
  z.strictObject({
    type: z.literal("validated"),
    generation,
    step,
    lossSum: z.number().nullable(),
    tokens: index,
  }),
  z.strictObject({ type: z.literal("sampled"), generation, step, tokens: z.array(index).max(4096) }),
  /** The shard is stored; or it will not be. Either may come long after the generation has ended. */
  z.strictObject({ type: z.literal("saved"), generation, step, shard: Shard }),
  z.strictObject({ type: z.literal("unsaved"), generation, step, reason: text }),
  /** The means of the exchange begun after this step have come; nothing has changed yet. */
  z.strictObject({ type: z.literal("exchanged"), generation, step }),
  /** Exchanges have taken effect. CRC-32s of what all sites agree on, by part of the model: "embed", "block 3". */
  z.strictObject({
    type: z.literal("merged"),
    generation,
    step,
    anchors: z.record(z.string().max(40), index),
  }),
  /** The generation is over. `kept`: the state that was asked for is in memory. */
  z.strictObject({ type: z.literal("held"), generation, kept: z.boolean() }),
  /** What was to be repaired has been sent, or taken. */
  z.strictObject({ type: z.literal("repaired"), generation, step }),
  z.strictObject({ type: z.literal("renewed"), generation, step }),
  /**
   * Last words of a generation: everything asked for is done and the final byte counts are in. `times`: since the last
   * step, of a worker that had a part in it.
   */
  z.strictObject({
    type: z.literal("released"),
    generation,
    times: Times.optional(),
    bytes: ByteCounts,
  }),
  /** The worker cannot do what its assignment asks. `fatal`: no other assignment of this model would do. */
  z.strictObject({ type: z.literal("failed"), generation, message: text, fatal: z.boolean() }),
  /** At once, to a "check". */
  z.strictObject({ type: z.literal("alive"), doing: Doing }),
  z.strictObject({ type: z.literal("pause"), paused: z.boolean() }),
  /** Measured before any training, some time after joining. */
  z.strictObject({ type: z.literal("speed"), speed: WorkerSpeed }),
  /** The worker's GPU is slower than the pace it was told, GFLOP/s, of which it reaches this share. */
  z.strictObject({
    type: z.literal("behind"),
    pace: z.number().positive(),
    share: z.number().min(0).max(1),
  }),
  /** The link to `peer` goes through the server's relay from now on, or does no more. */
  z.strictObject({ type: z.literal("relayed"), peer: z.string().max(100), relayed: z.boolean() }),
]);
export type ClientMessage = z.infer<typeof ClientMessage>;

/** Where an assignment's parameters and optimizer state come from. */
export const StateSource = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("seed") }),
  z.strictObject({ kind: z.literal("checkpoint"), step, optimizer: z.boolean(), shards: z.array(Shard) }),
  /** Workers that keep it of the generation before. */
  z.strictObject({ kind: z.literal("workers"), step, takes: z.array(Take) }),
]);
export type StateSource = z.infer<typeof StateSource>;

/** The run's tokens as one blob of little-endian unsigned integers: [0, validFrom) train, the rest validate. */
export const TokenSource = z.strictObject({
  hash: Hash,
  bytesPerToken: z.union([z.literal(1), z.literal(2), z.literal(4)]),
  count: index,
  validFrom: index,
});
export type TokenSource = z.infer<typeof TokenSource>;

/** What the server says to a worker. */
export const WorkerMessage = z.discriminatedUnion("type", [
  z.strictObject({
    type: z.literal("joined"),
    worker: z.string(),
    /** ICE servers for every peer connection; empty on a closed network. */
    iceServers: z.array(
      z.strictObject({
        urls: z.string(),
        username: z.string().optional(),
        credential: z.string().optional(),
      }),
    ),
    /** Key of the server's own PeerJS broker. */
    brokerKey: z.string(),
    /** What the server's relay knows this worker by. */
    relayKey: z.string(),
  }),
  z.strictObject({
    type: z.literal("assign"),
    generation,
    /** The run's id, for people; and its number, for frames. */
    run: z.string(),
    runNumber: index,
    config: RunConfig,
    plan: Plan,
    tokens: TokenSource,
    state: StateSource,
    /** Links of this worker beside those of the plan, on which states move. */
    links: z.array(PlannedLink),
  }),
  z.strictObject({ type: z.literal("signal"), from: z.string(), data: z.string() }),
  /** Another worker calls through the server's relay, for one of its links. */
  z.strictObject({ type: z.literal("ring"), from: z.string(), link: z.uuid(), call: z.uuid() }),
  /** Compute and reduce the gradient of this step, then say "ready". Steps count from 1. */
  z.strictObject({ type: z.literal("step"), generation, step }),
  /** Apply the optimizer: gradient * `scale` (1 / tokens, times the clip factor), at learning rate `lr`. */
  z.strictObject({ type: z.literal("commit"), generation, step, scale: z.number(), lr: z.number() }),
  z.strictObject({ type: z.literal("validate"), generation, step }),
  z.strictObject({
    type: z.literal("sample"),
    generation,
    step,
    prompt: z.array(index).min(1),
    tokens: index,
    temperature: z.number().min(0),
    seed: index,
  }),
  /** Draft a shard, upload it beside what comes next, then say "saved" or "unsaved". */
  z.strictObject({ type: z.literal("save"), generation, step }),
  /** The checkpoint is given up: so is the shard on its way to it. */
  z.strictObject({ type: z.literal("discard"), generation, step }),
  /**
   * Begin to exchange these fragments with the other sites, as they are after this step, or to hear from the site's lead
   * replica what comes of it; say "exchanged" when the means have come. `tokens`: the site's weight.
   */
  z.strictObject({
    type: z.literal("exchange"),
    generation,
    step,
    exchanges: z.array(z.strictObject({ fragment: index, tokens: index })).min(1),
    /** The run's last: a plain mean. */
    last: z.boolean(),
  }),
  /**
   * Out of turn: all have the means of the exchange begun after this step. Take the outer step: from now
   * on it counts, whatever happens to whom.
   */
  z.strictObject({ type: z.literal("conclude"), generation, step }),
  /** Once it is concluded, let the exchange of these fragments that began after this step take effect; then say "merged". */
  z.strictObject({
    type: z.literal("merge"),
    generation,
    step,
    fragments: z.array(index).min(1),
    last: z.boolean(),
  }),
  /**
   * `from` gives `to` its values of a part of the model, which sites ought to agree on and do not; then both say so. Done
   * at once, beside the orders under way: those may wait for the site that waits for this.
   */
  z.strictObject({
    type: z.literal("repair"),
    generation,
    step,
    part: z.string().max(40),
    from: z.string(),
    to: z.string(),
  }),
  /** To all of a site, in its turn: the part of the model becomes what sites agree on, on every replica. */
  z.strictObject({ type: z.literal("renew"), generation, step, part: z.string().max(40) }),
  /**
   * End the generation, but keep a state in memory until the next one has begun, for whoever goes on with it; then say
   * "held". `of`: the stage's in this generation, or, where that has not begun, what is kept already of the one before.
   * `interrupts`: without waiting for what is under way.
   */
  z.strictObject({ type: z.literal("hold"), generation, of: generation, interrupts: z.boolean() }),
  /** To a worker that keeps a state and has no part in this generation: open these links, then say "prepared". */
  z.strictObject({ type: z.literal("lend"), generation, links: z.array(PlannedLink) }),
  /** Drop the assignment and what is kept, free its memory, close its links. */
  z.strictObject({ type: z.literal("release"), generation, reason: text }),
  /** Is it alive, and what does it do? */
  z.strictObject({ type: z.literal("check") }),
  /** The run goes on without the worker, which did not do what it owed; the connection is closed. It may join again. */
  z.strictObject({ type: z.literal("dismissed"), reason: text }),
  /** Something the worker sent was refused; `fatal` closes the connection (wrong token, old page). */
  z.strictObject({ type: z.literal("refused"), reason: text, fatal: z.boolean() }),
]);
export type WorkerMessage = z.infer<typeof WorkerMessage>;

/** What the server says to a viewer: history and a snapshot at first, then events and new snapshots. */
export const ViewerMessage = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("history"), history: History }),
  z.strictObject({ type: z.literal("snapshot"), snapshot: Snapshot }),
  z.strictObject({ type: z.literal("event"), run: z.string(), event: RunEvent }),
  z.strictObject({ type: z.literal("refused"), reason: text, fatal: z.boolean() }),
]);
export type ViewerMessage = z.infer<typeof ViewerMessage>;

/** Whoever it is for would drop it. */
export class MessageTooLong extends Error {
  override name = "MessageTooLong";
}

/** What `parseControl` reads as `message` again. @throws MessageTooLong */
export function controlText(message: WorkerMessage): string {
  const text = JSON.stringify(z.encode(WorkerMessage, message));
  if (text.length <= MAX_CONTROL_BYTES) return text;
  const size = `'${message.type}' takes ${text.length} characters, and a worker reads ${MAX_CONTROL_BYTES}`;
  throw new MessageTooLong(
    message.type === "assign"
      ? `the plan for ${message.plan.replicas.flatMap(({ stages }) => stages).length} workers is too long to be told: ${size}. Let fewer workers take part, or set "stages" to a lower number`
      : `a message is too long: ${size}`,
  );
}

/** Text of a message, or the reason it is refused: one line that says what is wrong and where. */
export function parseControl<T>(
  schema: z.ZodType<T>,
  data: string,
  limit = MAX_CONTROL_BYTES,
): { ok: true; message: T } | { ok: false; reason: string } {
  if (data.length > limit) {
    return {
      ok: false,
      reason: `message of ${data.length} characters is over the limit of ${limit}`,
    };
  }
  let json: unknown;
  try {
    json = JSON.parse(data);
  } catch {
    return { ok: false, reason: "message is not JSON" };
  }
  const parsed = schema.safeParse(json);
  if (parsed.success) return { ok: true, message: parsed.data };
  const issue = parsed.error.issues[0]!;
  return { ok: false, reason: `message refused: ${[...issue.path, issue.message].join(": ")}`.slice(0, 500) };
}
