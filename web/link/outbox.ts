// What a link has to send: frames not yet acknowledged, and which lane has which of their chunks. A lane that is lost
// gives its chunks back, to be sent again over others.
// Not here: when a lane has room (link.ts), the receiver's half (frame-joiner.ts).
import {
  type Bytes,
  CHUNK_HEADER_BYTES,
  CHUNK_PAYLOAD_BYTES,
  ChunkError,
  chunkCount,
  distance,
  frameChunk,
  MAX_TOTAL_BYTES,
  nextSequence,
} from "./chunks.ts";
import { WINDOW_BYTES, WINDOW_FRAMES } from "./frame-joiner.ts";

interface Outgoing<Lane> {
  readonly sequence: number;
  readonly frame: ArrayBuffer;
  readonly onHanded: () => void;
  /** Chunks handed to a lane so far: always the first ones. */
  handed: number;
  /** Where each of them went. */
  readonly places: (Placed<Lane> | undefined)[];
}

/** What the outbox has to know of a lane. */
export interface Carrying {
  /** The number that the next chunk gets there. */
  readonly place: number;
  /** Whether the chunk of that number is known to have arrived. */
  hasBrought(place: number): boolean;
}

interface Placed<Lane> {
  readonly lane: Lane;
  readonly place: number;
  /** When it went out. */
  readonly time: number;
}

export class Outbox<Lane extends Carrying> {
  /** In order: unacknowledged, of which the last may be under way, then those that wait for their turn. */
  readonly #frames: Outgoing<Lane>[] = [];
  /** Chunks to be sent again. */
  #lost: { frame: Outgoing<Lane>; index: number }[] = [];
  #next = 0;
  /** Number and bytes of the frames that are begun and not acknowledged. */
  #begun = 0;
  #begunBytes = 0;

  /** The first frame that is not acknowledged. */
  get kept(): number {
    return this.#frames[0]?.sequence ?? this.#next;
  }

  /** Frames wholly handed to lanes, counted from the beginning of the link. */
  get handed(): number {
    const { length } = this.#frames.filter(({ places, handed }) => handed === places.length);
    return (this.kept + length) >>> 0;
  }

  /** Whether everything is acknowledged. */
  get idle(): boolean {
    return this.#frames.length === 0;
  }

  /** Adds a frame behind the others; it must not be changed any more. `onHanded`: its last chunk has gone out. */
  push(frame: ArrayBuffer, onHanded: () => void): void {
    const { byteLength } = frame;
    if (byteLength > MAX_TOTAL_BYTES) {
      throw new ChunkError(`frame of ${byteLength} bytes is over the limit of ${MAX_TOTAL_BYTES}`);
    }
    const places = Array.from<undefined>({ length: chunkCount(byteLength) });
    this.#frames.push({ sequence: this.#next, frame, onHanded, handed: 0, places });
    this.#next = nextSequence(this.#next);
  }

  /** Length of the message that `take` would give; 0 when there is nothing that may be sent now. */
  get nextLength(): number {
    const [lost] = this.#lost;
    if (lost) return chunkLength(lost.frame, lost.index);
    const frame = this.#current();
    return frame ? chunkLength(frame, frame.handed) : 0;
  }

  /** The next message, which is `lane`'s from now on, and the frame it is of. */
  take(lane: Lane, now: number): { chunk: Bytes; frame: ArrayBuffer } | undefined {
    const lost = this.#lost.shift();
    const frame = lost?.frame ?? this.#current();
    if (!frame) return undefined;
    const index = lost?.index ?? frame.handed;
    const chunk = frameChunk(frame.sequence, frame.frame, index, lost !== undefined);
    frame.places[index] = { lane, place: lane.place, time: now };
    if (!lost) this.#hand(frame);
    return { chunk, frame: frame.frame };
  }

  /**
   * Takes from another lane the first chunk that went out before `before` and is not known to have arrived: `lane`,
   * which has nothing to do, sends it as well.
   */
  rescue(lane: Lane, before: number, now: number): { chunk: Bytes; frame: ArrayBuffer } | undefined {
    for (const { sequence, frame, places } of this.#frames.slice(0, this.#begun)) {
      const index = places.findIndex(
        (at) => at && at.lane !== lane && at.time < before && !at.lane.hasBrought(at.place),
      );
      if (index < 0) continue;
      places[index] = { lane, place: lane.place, time: now };
      return { chunk: frameChunk(sequence, frame, index, true), frame };
    }
    return undefined;
  }

  /** `lane` is gone, and what it had may not have arrived. */
  lose(lane: Lane): void {
    const lost = this.#frames.flatMap((frame) =>
      frame.places.flatMap((at, index) => (at?.lane === lane ? [{ frame, index }] : [])),
    );
    for (const { frame, index } of lost) frame.places[index] = undefined;
    this.#lost = [...this.#lost, ...lost].sort(
      (a, b) => distance(this.kept, a.frame.sequence) - distance(this.kept, b.frame.sequence),
    );
  }

  /** The other side has every frame before `due`. @throws ChunkError if it cannot */
  acknowledge(due: number): void {
    const { kept } = this;
    if (distance(due, kept) <= WINDOW_FRAMES) return; // an older word, overtaken on another lane
    const count = distance(kept, due);
    if (
      count > this.#begun ||
      this.#frames.slice(0, count).some(({ places, handed }) => handed < places.length)
    ) {
      throw new ChunkError(`frame ${due} is due there, which was not reached here`);
    }
    for (const { frame } of this.#frames.splice(0, count)) this.#begunBytes -= frame.byteLength;
    this.#begun -= count;
    this.#lost = this.#lost.filter(({ frame }) => distance(due, frame.sequence) < this.#begun);
  }

  /** The frame whose chunks go out now: it is begun only while the other side has room for it. */
  #current(): Outgoing<Lane> | undefined {
    const last = this.#frames[this.#begun - 1];
    if (last && last.handed < last.places.length) return last;
    const frame = this.#frames[this.#begun];
    if (!frame || this.#begun === 0) return frame;
    const fits = this.#begunBytes + frame.frame.byteLength <= WINDOW_BYTES && this.#begun < WINDOW_FRAMES;
    return fits ? frame : undefined;
  }

  #hand(frame: Outgoing<Lane>): void {
    if (frame.handed === 0) {
      this.#begun++;
      this.#begunBytes += frame.frame.byteLength;
    }
    frame.handed++;
    if (frame.handed === frame.places.length) frame.onHanded();
  }
}

function chunkLength({ frame }: { frame: ArrayBuffer }, index: number): number {
  return CHUNK_HEADER_BYTES + Math.min(CHUNK_PAYLOAD_BYTES, frame.byteLength - index * CHUNK_PAYLOAD_BYTES);
}
