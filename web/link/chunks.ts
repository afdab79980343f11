// The bytes of one message of a carrier: a piece of a frame, or one of the link's own words.
// Not here: joining the pieces (frame-joiner.ts), when a chunk is sent or what its sender is told (link.ts), or what
// is in a frame (core/protocol).
import { FRAME_HEADER_BYTES, MAX_FRAME_BYTES } from "../../core/protocol/frame.ts";

/** Bytes of a frame that one chunk carries at most: browsers refuse messages over 256 KiB. */
export const CHUNK_PAYLOAD_BYTES = 64 * 1024;
/** Type, then sequence number of the frame, offset and total as little-endian unsigned 32-bit numbers. */
export const CHUNK_HEADER_BYTES = 13;
export const MAX_TOTAL_BYTES = FRAME_HEADER_BYTES + MAX_FRAME_BYTES;

const MAX_REASON_BYTES = 1000;
const TYPES = { frame: 0, again: 1, hello: 2, ack: 3, goodbye: 4, probe: 5, echo: 6 } as const;

export type Bytes = Uint8Array<ArrayBuffer>;

/** A piece of frame number `sequence`, which has `total` bytes. `payload` is a view into the message. */
export interface FrameChunk {
  readonly type: "frame";
  readonly sequence: number;
  readonly offset: number;
  readonly total: number;
  readonly payload: Uint8Array;
  /** The same piece went out before, over a carrier that is gone: it may have arrived. */
  readonly again: boolean;
}

/** "I am ready for frames; the one I need next from you is `due`, the first I can still give you is `kept`." */
export interface Hello {
  readonly type: "hello";
  readonly due: number;
  readonly kept: number;
}

/**
 * "I have every frame before `due`; my own would go faster over `lanes` lanes; this lane has brought me `chunks`
 * pieces of frames." Also the heartbeat.
 */
export interface Ack {
  readonly type: "ack";
  readonly due: number;
  readonly lanes: number;
  readonly chunks: number;
}

/** "I close the link on purpose, after `frames` frames." */
export interface Goodbye {
  readonly type: "goodbye";
  readonly frames: number;
  readonly reason: string;
}

/** "Echo this at once": for measuring. */
export interface Probe {
  readonly type: "probe";
}

export interface Echo {
  readonly type: "echo";
}

export type Chunk = FrameChunk | Hello | Ack | Goodbye | Probe | Echo;
/** What lanes leave to their link. */
export type LinkChunk = FrameChunk | Ack | Goodbye;

/** A message that no link would have sent. */
export class ChunkError extends Error {
  override name = "ChunkError";
}

/** Frames of a link are numbered from 0, modulo 2^32. */
export function nextSequence(sequence: number): number {
  return (sequence + 1) >>> 0;
}

/** How many frames `sequence` comes after `from`. */
export function distance(from: number, sequence: number): number {
  return (sequence - from) >>> 0;
}

/** Messages that a frame of this length takes; one of 0 bytes takes one. */
export function chunkCount(total: number): number {
  return Math.max(1, Math.ceil(total / CHUNK_PAYLOAD_BYTES));
}

/** Message number `index` of a frame. */
export function frameChunk(sequence: number, frame: ArrayBuffer, index: number, again: boolean): Bytes {
  const offset = index * CHUNK_PAYLOAD_BYTES;
  const length = Math.min(CHUNK_PAYLOAD_BYTES, frame.byteLength - offset);
  const chunk = new Uint8Array(CHUNK_HEADER_BYTES + length);
  const view = new DataView(chunk.buffer);
  chunk[0] = again ? TYPES.again : TYPES.frame;
  view.setUint32(1, sequence, true);
  view.setUint32(5, offset, true);
  view.setUint32(9, frame.byteLength, true);
  chunk.set(new Uint8Array(frame, offset, length), CHUNK_HEADER_BYTES);
  return chunk;
}

export function helloChunk({ due, kept }: Omit<Hello, "type">): Bytes {
  const chunk = numbered(TYPES.hello, due, 9);
  new DataView(chunk.buffer).setUint32(5, kept, true);
  return chunk;
}

export function ackChunk({ due, lanes, chunks }: Omit<Ack, "type">): Bytes {
  const chunk = numbered(TYPES.ack, due, 10);
  chunk[5] = lanes;
  new DataView(chunk.buffer).setUint32(6, chunks, true);
  return chunk;
}

export function goodbyeChunk({ frames, reason }: Omit<Goodbye, "type">): Bytes {
  const text = new TextEncoder().encode(reason).subarray(0, MAX_REASON_BYTES);
  const chunk = numbered(TYPES.goodbye, frames, 5 + text.length);
  chunk.set(text, 5);
  return chunk;
}

/** Of so many bytes beside its type, which mean nothing. */
export function probeChunk(bytes: number): Bytes {
  const chunk = new Uint8Array(1 + bytes);
  chunk[0] = TYPES.probe;
  return chunk;
}

export function echoChunk(): Bytes {
  return Uint8Array.of(TYPES.echo);
}

/** Reads one message. @throws ChunkError when it cannot be one of a link's */
export function parseChunk(message: Uint8Array): Chunk {
  const view = new DataView(message.buffer, message.byteOffset, message.byteLength);
  const require = (fits: boolean): void => {
    if (!fits) throw new ChunkError(`chunk of type ${message[0]} has ${message.length} bytes`);
  };
  switch (message[0]) {
    case TYPES.frame:
    case TYPES.again:
      require(message.length >= CHUNK_HEADER_BYTES);
      return {
        type: "frame",
        sequence: view.getUint32(1, true),
        offset: view.getUint32(5, true),
        total: view.getUint32(9, true),
        payload: message.subarray(CHUNK_HEADER_BYTES),
        again: message[0] === TYPES.again,
      };
    case TYPES.hello:
      require(message.length === 9);
      return { type: "hello", due: view.getUint32(1, true), kept: view.getUint32(5, true) };
    case TYPES.ack:
      require(message.length === 10);
      return {
        type: "ack",
        due: view.getUint32(1, true),
        lanes: message[5]!,
        chunks: view.getUint32(6, true),
      };
    case TYPES.goodbye: {
      require(message.length >= 5);
      const text = message.subarray(5, 5 + MAX_REASON_BYTES);
      return { type: "goodbye", frames: view.getUint32(1, true), reason: new TextDecoder().decode(text) };
    }
    case TYPES.probe:
      return { type: "probe" };
    case TYPES.echo:
      require(message.length === 1);
      return { type: "echo" };
    default:
      throw new ChunkError(`unknown chunk type ${message[0]}`);
  }
}

function numbered(type: number, number: number, length: number): Bytes {
  const chunk = new Uint8Array(length);
  chunk[0] = type;
  new DataView(chunk.buffer).setUint32(1, number, true);
  return chunk;
}
