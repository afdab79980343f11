// One carrier in the service of a link: greets the other side over it, lets it beat, and notices when it is dead.
// Not here: what goes over it (link.ts), opening one (pair.ts).
import type { Carrier } from "./carrier.ts";
import {
  type Bytes,
  ChunkError,
  echoChunk,
  type Hello,
  type LinkChunk,
  parseChunk,
  probeChunk,
} from "./chunks.ts";

/** Frames wait while a lane has this much unsent: enough to keep it busy, little enough to close quickly. */
export const HIGH_WATER_BYTES = 256 * 1024;
export const HEARTBEAT_MS = 2500;
/** Heartbeats of our own with nothing heard in between, after which the lane counts as dead: 10 s. */
const SILENT_HEARTBEATS = 4;
/** Less than this is unsent where there are only the link's own words: what is sent now is not kept waiting. */
const QUIET_BYTES = 1024;

/** What a lane needs of its link. */
export interface LaneUser {
  greeting(): Bytes;
  acknowledgement(received: number): Bytes;
  /** A piece of a frame, handed over at `sent`, has arrived. */
  onArrived(sent: number): void;
  /** All pieces of frames that went out since there was none under way have arrived. */
  onCarried(bytes: number, ms: number): void;
  /** A probe of so many bytes came back. */
  onEcho(bytes: number, ms: number): void;
  /** The other side is ready for frames on this lane. @throws ChunkError if it cannot be the right one */
  onReady(lane: Lane, hello: Hello): void;
  /** @throws ChunkError if no link would have sent it */
  onChunk(lane: Lane, chunk: LinkChunk): void;
  /** There may be room for more. */
  onRoom(): void;
  /** A message was handed over that is none of a frame's. */
  onOwnBytes(bytes: number): void;
  /** The same for a probe, or an echo. */
  onProbeBytes(bytes: number): void;
  /** The carrier is gone, or never opened; not called after `close`. */
  onLost(lane: Lane, reason: string): void;
  /** The other side sent what no link would have sent. */
  onDamage(reason: string): void;
}

export class Lane {
  readonly relayed: boolean;
  readonly #carrier: Carrier;
  readonly #user: LaneUser;
  #state: "greeting" | "ready" | "closed" = "greeting";
  #heartbeat: ReturnType<typeof setInterval> | undefined;
  #silent = 0;
  /** Pieces of frames: handed over, said by the other side to have arrived, and received from it. */
  #handed = 0;
  #arrived = 0;
  #received = 0;
  /** Those under way. */
  readonly #underWay: { readonly bytes: number; readonly sent: number }[] = [];
  /** Of frames, since nothing was under way. */
  #stretch = { began: 0, bytes: 0 };
  /** Those not yet echoed. */
  readonly #probes: { readonly bytes: number; readonly sent: number }[] = [];

  /** @param carrier fresh: this lane becomes its only user */
  constructor(carrier: Carrier, user: LaneUser) {
    this.#carrier = carrier;
    this.#user = user;
    this.relayed = carrier.relayed;
    carrier.onOpen = () => this.say(user.greeting());
    carrier.onChunk = (message) => this.#receive(message);
    carrier.onLow = () => user.onRoom();
    carrier.onClose = (reason) => this.lose(reason);
    if (carrier.open) carrier.onOpen();
  }

  get ready(): boolean {
    return this.#state === "ready";
  }

  get bufferedAmount(): number {
    return this.#carrier.bufferedAmount;
  }

  /** Bytes of frames that went out and are not known to have arrived. */
  get underWay(): number {
    return this.#underWay.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /** What a message would have to wait for. */
  get load(): number {
    return Math.max(this.underWay, this.bufferedAmount);
  }

  /** Whether piece number `place`, as `handFrame` counted it, is known to have arrived. */
  hasBrought(place: number): boolean {
    return place < this.#arrived;
  }

  /** The number that the next piece of a frame gets. */
  get place(): number {
    return this.#handed;
  }

  /** Whether nothing waits to be sent, so that a probe measures the way and not the frames before it. */
  get quiet(): boolean {
    return this.bufferedAmount < QUIET_BYTES;
  }

  hasRoom(bytes: number): boolean {
    const waiting = this.#carrier.bufferedAmount;
    return waiting === 0 || waiting + bytes <= HIGH_WATER_BYTES;
  }

  /** Hands one message over. False if the carrier did not take it: it is lost then, and has said so. */
  hand(chunk: Bytes): boolean {
    if (this.#state === "closed") return false;
    try {
      this.#carrier.send(chunk);
      return true;
    } catch (error) {
      this.lose(`the channel took no more: ${error instanceof Error ? error.message : String(error)}`);
      return false;
    }
  }

  /** Hands over a piece of a frame. */
  handFrame(chunk: Bytes): boolean {
    const now = performance.now();
    if (this.#underWay.length === 0) this.#stretch = { began: now, bytes: 0 };
    this.#handed++;
    this.#stretch.bytes += chunk.length;
    this.#underWay.push({ bytes: chunk.length, sent: now });
    return this.hand(chunk);
  }

  acknowledge(): void {
    this.say(this.#user.acknowledgement(this.#received));
  }

  /** Hands over one of the link's own words. */
  say(chunk: Bytes): void {
    if (this.hand(chunk)) this.#user.onOwnBytes(chunk.length);
  }

  /** Hands over a probe of so many bytes, to be echoed. */
  probe(bytes: number): void {
    this.#probes.push({ bytes, sent: performance.now() });
    this.#sayProbing(probeChunk(bytes));
  }

  lose(reason: string): void {
    if (this.#state === "closed") return;
    this.close();
    this.#user.onLost(this, reason);
  }

  close(): void {
    this.#state = "closed";
    clearInterval(this.#heartbeat);
    this.#carrier.close();
  }

  #receive(message: Uint8Array): void {
    if (this.#state === "closed") return;
    this.#silent = 0;
    try {
      const chunk = parseChunk(message);
      if (chunk.type === "hello") this.#greet(chunk);
      else if (chunk.type === "probe") this.#sayProbing(echoChunk());
      else if (chunk.type === "echo") this.#takeEcho();
      else {
        if (chunk.type === "frame") this.#received++;
        if (chunk.type === "ack") this.#takeArrived(chunk.chunks);
        this.#user.onChunk(this, chunk);
      }
    } catch (error) {
      if (!(error instanceof ChunkError)) throw error;
      this.#user.onDamage(error.message);
    }
  }

  #takeArrived(chunks: number): void {
    if (chunks > this.#handed) throw new ChunkError(`${chunks} pieces arrived of ${this.#handed}`);
    const arrived = this.#underWay.splice(0, Math.max(0, chunks - this.#arrived));
    this.#arrived = Math.max(chunks, this.#arrived);
    for (const { sent } of arrived) this.#user.onArrived(sent);
    if (arrived.length === 0 || this.#underWay.length > 0) return;
    this.#user.onCarried(this.#stretch.bytes, performance.now() - this.#stretch.began);
  }

  #sayProbing(chunk: Bytes): void {
    if (this.hand(chunk)) this.#user.onProbeBytes(chunk.length);
  }

  #takeEcho(): void {
    const probe = this.#probes.shift();
    if (!probe) throw new ChunkError("an echo of nothing");
    this.#user.onEcho(probe.bytes, performance.now() - probe.sent);
  }

  /** Answers the first hello: the other side may not have been listening when ours was sent. */
  #greet(hello: Hello): void {
    if (this.#state !== "greeting") return;
    this.#state = "ready";
    this.#heartbeat = setInterval(() => this.#beat(), HEARTBEAT_MS);
    this.say(this.#user.greeting());
    this.#user.onReady(this, hello);
  }

  /** Counts beats, not time: while this page itself stands still, the peer is not to blame for the silence. */
  #beat(): void {
    if (this.#silent === SILENT_HEARTBEATS) {
      this.lose(`nothing heard for ${(SILENT_HEARTBEATS * HEARTBEAT_MS) / 1000} s`);
      return;
    }
    this.#silent++;
    if (this.quiet) this.probe(0);
    this.acknowledge();
  }
}
