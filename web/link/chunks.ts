// The bytes of one data-channel message: a piece of a frame, or one of the link's own words.
// Not here: when a chunk is sent or what its sender is told (link.ts), or what is in a frame (core/protocol).
import { FRAME_HEADER_BYTES, MAX_FRAME_BYTES } from "../../core/protocol/frame.ts";

/** Bytes of a frame that one chunk carries at most: browsers refuse messages over 256 KiB. */
export const CHUNK_PAYLOAD_BYTES = 64 * 1024;
/** Type, then sequence number of the frame, offset and total as little-endian unsigned 32-bit numbers. */
export const CHUNK_HEADER_BYTES = 13;

const MAX_TOTAL_BYTES = FRAME_HEADER_BYTES + MAX_FRAME_BYTES;
const MAX_REASON_BYTES = 1000;
const TYPES = { frame: 0, hello: 1, heartbeat: 2, goodbye: 3 } as const;

export type Bytes = Uint8Array<ArrayBuffer>;

/** A piece of frame number `sequence`, which has `total` bytes. `payload` is a view into the message. */
export interface FrameChunk {
  readonly type: "frame";
  readonly sequence: number;
  readonly offset: number;
  readonly total: number;
  readonly payload: Uint8Array;
}

export type Chunk =
  | FrameChunk
  /** "I am ready for frames." */
  | { readonly type: "hello" }
  | { readonly type: "heartbeat" }
  /** The sender closes the link on purpose. */
  | { readonly type: "goodbye"; readonly reason: string };

/** A message that no link would have sent, or that is not next in order. */
export class ChunkError extends Error {
  override name = "ChunkError";
}

/** Cuts a frame into messages, in the order they must be sent; a frame of 0 bytes is one message. */
export function* splitFrame(sequence: number, frame: ArrayBuffer): Generator<Bytes, void, void> {
  const total = frame.byteLength;
  if (total > MAX_TOTAL_BYTES) {
    throw new ChunkError(`frame of ${total} bytes is over the limit of ${MAX_TOTAL_BYTES}`);
  }
  let offset = 0;
  do {
    const length = Math.min(CHUNK_PAYLOAD_BYTES, total - offset);
    const chunk = new Uint8Array(CHUNK_HEADER_BYTES + length);
    const view = new DataView(chunk.buffer);
    chunk[0] = TYPES.frame;
    view.setUint32(1, sequence, true);
    view.setUint32(5, offset, true);
    view.setUint32(9, total, true);
    chunk.set(new Uint8Array(frame, offset, length), CHUNK_HEADER_BYTES);
    yield chunk;
    offset += length;
  } while (offset < total);
}

export function helloChunk(): Bytes {
  return Uint8Array.of(TYPES.hello);
}

export function heartbeatChunk(): Bytes {
  return Uint8Array.of(TYPES.heartbeat);
}

export function goodbyeChunk(reason: string): Bytes {
  const text = new TextEncoder().encode(reason).subarray(0, MAX_REASON_BYTES);
  const chunk = new Uint8Array(1 + text.length);
  chunk[0] = TYPES.goodbye;
  chunk.set(text, 1);
  return chunk;
}

/** Reads one message. @throws ChunkError when it cannot be one of a link's */
export function parseChunk(message: Uint8Array): Chunk {
  const body = message.subarray(1);
  switch (message[0]) {
    case TYPES.frame: {
      if (message.length < CHUNK_HEADER_BYTES) throw new ChunkError("chunk is shorter than its header");
      const view = new DataView(message.buffer, message.byteOffset, message.byteLength);
      return {
        type: "frame",
        sequence: view.getUint32(1, true),
        offset: view.getUint32(5, true),
        total: view.getUint32(9, true),
        payload: message.subarray(CHUNK_HEADER_BYTES),
      };
    }
    case TYPES.hello:
      return { type: "hello" };
    case TYPES.heartbeat:
      return { type: "heartbeat" };
    case TYPES.goodbye:
      return { type: "goodbye", reason: new TextDecoder().decode(body.subarray(0, MAX_REASON_BYTES)) };
    default:
      throw new ChunkError(`unknown chunk type ${message[0]}`);
  }
}

/** Joins chunks into frames. Channels are ordered and reliable, so anything out of order is damage. */
export class FrameJoiner {
  #sequence = 0;
  #offset = 0;
  #frame: Bytes | undefined;

  /**
   * The whole frame if this was its last chunk.
   * @throws ChunkError if the chunk is not the one that must come next; nothing is allocated then
   */
  accept({ sequence, offset, total, payload }: FrameChunk): ArrayBuffer | undefined {
    if (total > MAX_TOTAL_BYTES) {
      throw new ChunkError(`chunk announces a frame of ${total} bytes, over the limit of ${MAX_TOTAL_BYTES}`);
    }
    if (sequence !== this.#sequence || offset !== this.#offset) {
      throw new ChunkError(
        `chunk of frame ${sequence} at ${offset} where frame ${this.#sequence} at ${this.#offset} was due`,
      );
    }
    if (this.#frame && total !== this.#frame.length) {
      throw new ChunkError(`frame of ${this.#frame.length} bytes goes on as one of ${total}`);
    }
    const due = Math.min(CHUNK_PAYLOAD_BYTES, total - offset);
    if (payload.length !== due)
      throw new ChunkError(`chunk of ${payload.length} bytes where ${due} were due`);

    const frame = (this.#frame ??= new Uint8Array(total));
    frame.set(payload, offset);
    this.#offset += due;
    if (this.#offset < total) return undefined;
    this.#frame = undefined;
    this.#offset = 0;
    this.#sequence = nextSequence(this.#sequence);
    return frame.buffer;
  }
}

/** Frames of a link are numbered from 0, modulo 2^32. */
export function nextSequence(sequence: number): number {
  return (sequence + 1) >>> 0;
}
