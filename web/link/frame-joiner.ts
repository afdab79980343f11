// Joins chunks, which come in any order over the lanes of a link, into frames in order. What it holds is bounded, and
// nothing is allocated for a chunk that cannot be right.
// Not here: the bytes of a chunk (chunks.ts), the sender's half (outbox.ts).
import {
  type Bytes,
  CHUNK_PAYLOAD_BYTES,
  ChunkError,
  chunkCount,
  distance,
  type FrameChunk,
  MAX_TOTAL_BYTES,
  nextSequence,
} from "./chunks.ts";

/** Frames that may be on their way beyond the one that is due; with fewer bytes, or one frame alone. */
export const WINDOW_BYTES = 32 * 1024 * 1024;
export const WINDOW_FRAMES = 1024;

/** How a chunk came first. */
const MISSING = 0;
const CAME = 1;
const CAME_AGAIN = 2;

interface Growing {
  readonly bytes: Bytes;
  /** A state for each chunk. */
  readonly chunks: Uint8Array;
  missing: number;
}

export class FrameJoiner {
  #due = 0;
  #pendingBytes = 0;
  readonly #pending = new Map<number, Growing>();
  /** Frames, delivered not long ago, of which chunks were sent again: the first ones may still come. */
  readonly #repeated = new Set<number>();

  /** The frame that is to be delivered next. */
  get due(): number {
    return this.#due;
  }

  /**
   * The frames that can be delivered now, in order. What comes twice because its carrier was given up is dropped.
   * @throws ChunkError if a link cannot have sent the chunk; nothing is allocated then
   */
  accept(chunk: FrameChunk): ArrayBuffer[] {
    check(chunk);
    if (this.#isBehind(chunk)) return [];
    const frame = this.#pending.get(chunk.sequence) ?? this.#begin(chunk);
    const { sequence, offset, total, payload, again } = chunk;
    if (total !== frame.bytes.length) {
      throw new ChunkError(`frame of ${frame.bytes.length} bytes goes on as one of ${total}`);
    }
    const index = offset / CHUNK_PAYLOAD_BYTES;
    if (frame.chunks[index] !== MISSING) {
      if (again || frame.chunks[index] === CAME_AGAIN) return [];
      throw new ChunkError(`frame ${sequence} at ${offset} came twice`);
    }
    frame.chunks[index] = again ? CAME_AGAIN : CAME;
    frame.bytes.set(payload, offset);
    frame.missing--;
    return this.#deliver();
  }

  /** Whether the chunk is of a frame that was delivered. */
  #isBehind({ sequence, again }: FrameChunk): boolean {
    const behind = distance(sequence, this.#due);
    if (behind === 0 || behind > WINDOW_FRAMES) return false;
    if (again || this.#repeated.has(sequence)) return true;
    throw new ChunkError(`frame ${sequence} goes on where frame ${this.#due} was due`);
  }

  #begin({ sequence, total }: FrameChunk): Growing {
    if (distance(this.#due, sequence) >= WINDOW_FRAMES) {
      throw new ChunkError(`frame ${sequence} is too far ahead of frame ${this.#due}, which is due`);
    }
    const pendingBytes = this.#pendingBytes + total;
    if (this.#pending.size > 0 && pendingBytes > WINDOW_BYTES) {
      throw new ChunkError(`${pendingBytes} bytes ahead of frame ${this.#due}, over ${WINDOW_BYTES}`);
    }
    const count = chunkCount(total);
    const frame = { bytes: new Uint8Array(total), chunks: new Uint8Array(count), missing: count };
    this.#pendingBytes = pendingBytes;
    this.#pending.set(sequence, frame);
    return frame;
  }

  #deliver(): ArrayBuffer[] {
    const frames: ArrayBuffer[] = [];
    for (let frame; (frame = this.#pending.get(this.#due)) && frame.missing === 0;) {
      this.#pending.delete(this.#due);
      this.#pendingBytes -= frame.bytes.length;
      if (frame.chunks.includes(CAME_AGAIN)) this.#repeated.add(this.#due);
      this.#repeated.delete((this.#due - WINDOW_FRAMES) >>> 0);
      this.#due = nextSequence(this.#due);
      frames.push(frame.bytes.buffer);
    }
    return frames;
  }
}

/** What a chunk says by itself. */
function check({ offset, total, payload }: FrameChunk): void {
  if (total > MAX_TOTAL_BYTES) {
    throw new ChunkError(`chunk announces a frame of ${total} bytes, over the limit of ${MAX_TOTAL_BYTES}`);
  }
  if (offset % CHUNK_PAYLOAD_BYTES !== 0 || offset / CHUNK_PAYLOAD_BYTES >= chunkCount(total)) {
    throw new ChunkError(`chunk at ${offset} of a frame of ${total} bytes`);
  }
  const due = Math.min(CHUNK_PAYLOAD_BYTES, total - offset);
  if (payload.length !== due) throw new ChunkError(`chunk of ${payload.length} bytes where ${due} were due`);
}
