// A link: whole frames, in order, over one carrier. It splits and joins, holds senders back while the channel is
// full, counts the bytes it hands over, and notices a dead peer.
// Not here: opening connections and trying again (pair.ts), the meaning of a frame (core/protocol).
import { frameKind } from "../../core/protocol/frame.ts";
import type { Carrier } from "./carrier.ts";
import {
  type Bytes,
  FrameJoiner,
  goodbyeChunk,
  heartbeatChunk,
  helloChunk,
  nextSequence,
  parseChunk,
  splitFrame,
} from "./chunks.ts";

/** Frames wait while a channel has this much unsent: enough to keep it busy, little enough to close quickly. */
export const HIGH_WATER_BYTES = 256 * 1024;
export const HEARTBEAT_MS = 2500;
/** Heartbeats of our own with nothing heard in between, after which the peer counts as dead: 10 s. */
const SILENT_HEARTBEATS = 4;
/** How long a goodbye may take to arrive. */
const GOODBYE_MS = 1000;

/** What a link counts its own bytes as: hello, heartbeats, goodbye, and frames that are not Tributary's. */
const OWN_PURPOSE = "link";

export interface LinkEvents {
  /** The other side is ready for frames. */
  onOpen(): void;
  onFrame(frame: ArrayBuffer): void;
  /** The link is gone; not called after `close`. */
  onClose(reason: string): void;
  /** Bytes handed to the channel, chunk headers included; `purpose` is a frame's kind or "link". */
  onBytes(purpose: string, bytes: number): void;
}

export class Link {
  readonly #carrier: Carrier;
  readonly #events: LinkEvents;
  readonly #joiner = new FrameJoiner();
  #state: "greeting" | "open" | "closed" = "greeting";
  #closeReason = "not open yet";
  #sequence = 0;
  /** Frames go out one after the other: settles when the one before is out of the way. */
  #tail: Promise<unknown> = Promise.resolve();
  /** Lets the frame that waits for room go on. */
  #wake: (() => void) | undefined;
  #heartbeat: ReturnType<typeof setInterval> | undefined;
  #silent = 0;

  /** @param carrier fresh: this link becomes its only user */
  constructor(carrier: Carrier, events: LinkEvents) {
    this.#carrier = carrier;
    this.#events = events;
    carrier.onOpen = () => this.#hand(helloChunk(), OWN_PURPOSE);
    carrier.onChunk = (message) => this.#receive(message);
    carrier.onLow = () => this.#wake?.();
    carrier.onClose = (reason) => this.#lose(reason);
    if (carrier.open) carrier.onOpen();
  }

  /**
   * Sends a frame after those before it. Resolves when its last chunk has been handed to the channel; leave the
   * buffer alone until then. Rejects if the link is not open or closes meanwhile.
   */
  send(frame: ArrayBuffer): Promise<void> {
    const sent = this.#tail.then(() => this.#sendChunks(frame));
    this.#tail = sent.catch(() => {}); // its sender hears of it, not the next one
    return sent;
  }

  /** Closes on purpose: the other side is told why. Resolves when the carrier is closed, within a second. */
  async close(reason: string): Promise<void> {
    const wasOpen = this.#state === "open";
    if (!this.#end(reason)) return;
    if (wasOpen) await this.#sayGoodbye(reason);
    this.#carrier.close();
  }

  async #sendChunks(frame: ArrayBuffer): Promise<void> {
    const purpose = frameKind(frame) ?? OWN_PURPOSE;
    this.#assertOpen();
    const sequence = this.#sequence;
    for (const chunk of splitFrame(sequence, frame)) {
      while (this.#state === "open" && !this.#hasRoom(chunk)) {
        await new Promise<void>((resolve) => (this.#wake = resolve));
      }
      this.#hand(chunk, purpose);
      this.#assertOpen();
    }
    this.#sequence = nextSequence(sequence);
  }

  #hasRoom(chunk: Bytes): boolean {
    const waiting = this.#carrier.bufferedAmount;
    return waiting === 0 || waiting + chunk.length <= HIGH_WATER_BYTES;
  }

  #assertOpen(): void {
    if (this.#state !== "open") throw new Error(`link closed: ${this.#closeReason}`);
  }

  #hand(chunk: Bytes, purpose: string): void {
    if (this.#state === "closed") return;
    try {
      this.#carrier.send(chunk);
    } catch (error) {
      this.#lose(`the channel took no more: ${error instanceof Error ? error.message : String(error)}`);
      return;
    }
    this.#events.onBytes(purpose, chunk.length);
  }

  #receive(message: Uint8Array): void {
    if (this.#state === "closed") return;
    this.#silent = 0;
    let frame: ArrayBuffer | undefined;
    try {
      const chunk = parseChunk(message);
      if (chunk.type === "hello") this.#greet();
      if (chunk.type === "goodbye") this.#lose(`closed by the other side: ${chunk.reason}`);
      if (chunk.type === "frame") frame = this.#joiner.accept(chunk);
    } catch (error) {
      this.#lose(`damaged: ${error instanceof Error ? error.message : String(error)}`);
    }
    if (frame) this.#events.onFrame(frame);
  }

  /** Answers the first hello: the other side may not have been listening when ours was sent. */
  #greet(): void {
    if (this.#state !== "greeting") return;
    this.#state = "open";
    this.#hand(helloChunk(), OWN_PURPOSE);
    this.#heartbeat = setInterval(() => this.#beat(), HEARTBEAT_MS);
    this.#events.onOpen();
  }

  /** Counts beats, not time: while this page itself stands still, the peer is not to blame for the silence. */
  #beat(): void {
    if (this.#silent === SILENT_HEARTBEATS) {
      this.#lose(`nothing heard for ${(SILENT_HEARTBEATS * HEARTBEAT_MS) / 1000} s`);
      return;
    }
    this.#silent++;
    this.#hand(heartbeatChunk(), OWN_PURPOSE);
  }

  #lose(reason: string): void {
    if (!this.#end(reason)) return;
    this.#carrier.close();
    this.#events.onClose(reason);
  }

  /** False if the link was closed before. */
  #end(reason: string): boolean {
    if (this.#state === "closed") return false;
    this.#state = "closed";
    this.#closeReason = reason;
    clearInterval(this.#heartbeat);
    this.#wake?.();
    return true;
  }

  /** The other side closes its carrier when it has read the goodbye, which closes ours. */
  #sayGoodbye(reason: string): Promise<void> {
    return new Promise((resolve) => {
      this.#carrier.onClose = () => resolve();
      setTimeout(resolve, GOODBYE_MS);
      try {
        const goodbye = goodbyeChunk(reason);
        this.#carrier.send(goodbye);
        this.#events.onBytes(OWN_PURPOSE, goodbye.length);
      } catch {
        resolve(); // the channel went first
      }
    });
  }
}
