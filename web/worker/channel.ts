// One generation's way of sending tensors to other workers and waiting for theirs, by meaning rather than by
// frame header. Not here: the links that carry the frames (web/link), which live on the page.
import { partOf, type Segment } from "../../core/model/parameters.ts";
import {
  decodeFrame,
  encodeFrame,
  FrameError,
  type Dtype,
  type FrameKind,
} from "../../core/protocol/frame.ts";
import { decode, encode, type Codec } from "../../core/reduce/codec.ts";
import { piecesOf } from "../../core/reduce/pieces.ts";
import type { SegmentTransport } from "../../core/reduce/transport.ts";
import { GenerationEnded, Mailbox } from "./mailbox.ts";

type Post = (to: string, frame: ArrayBuffer) => void;

export interface Place {
  readonly step: number;
  readonly microbatch?: number;
  readonly segment?: number;
}

export class Channel {
  readonly #mailbox = new Mailbox();
  readonly #ended: Promise<never>;
  #end!: (reason: GenerationEnded) => void;
  readonly #run: number;
  readonly #generation: number;
  readonly #post: Post;

  constructor(run: number, generation: number, post: Post) {
    this.#run = run;
    this.#generation = generation;
    this.#post = post;
    this.#ended = new Promise((_, reject) => (this.#end = reject));
    // Who waits for nothing misses nothing.
    this.#ended.catch(() => {});
  }

  /** Takes a frame from a link; one of another run or generation is dropped. @throws FrameError when damaged */
  deliver(from: string, buffer: ArrayBuffer): void {
    const frame = decodeFrame(buffer);
    if (frame.run === this.#run && frame.generation === this.#generation) this.#mailbox.deliver(from, frame);
  }

  /** `shape`: up to three dimensions, by default all values in one. */
  send(
    to: string,
    kind: FrameKind,
    place: Place,
    values: Float32Array | Uint32Array,
    { shape = [values.length], codec = "f32" }: { shape?: readonly number[]; codec?: Codec } = {},
  ): void {
    const dtype = values instanceof Float32Array ? codec : "u32";
    const payload = values instanceof Float32Array ? encode(codec, values) : values;
    this.#sendEncoded(to, kind, place, dtype, payload, shape);
  }

  #sendEncoded(
    to: string,
    kind: FrameKind,
    place: Place,
    dtype: Dtype,
    payload: ArrayBufferView,
    [a, b, c]: readonly number[],
  ): void {
    const frame = encodeFrame({
      kind,
      run: this.#run,
      generation: this.#generation,
      step: place.step,
      microbatch: place.microbatch ?? 0,
      segment: place.segment ?? 0,
      dtype,
      shape: [a ?? 0, b ?? 0, c ?? 0],
      payload,
    });
    this.#post(to, frame);
  }

  /**
   * The f32 values of the frame, however they were encoded.
   * @param count how many they must be; absent, as many as come
   * @throws GenerationEnded, FrameError
   */
  async receive(from: string, kind: FrameKind, place: Place, count?: number): Promise<Float32Array> {
    const { payload, dtype, shape } = await this.#receive(from, kind, place);
    if (dtype === "u32") throw new FrameError(`a ${kind} frame holds whole numbers`);
    const product = shape.reduce((product, dimension) => product * (dimension || 1), 1);
    const said = payload.length > 0 ? product : 0;
    if (count !== undefined && said !== count) {
      throw new FrameError(
        `worker ${from} sent ${said} values in a ${kind} frame where ${count} were due: reload the page on both machines`,
      );
    }
    return decode(dtype, payload, said);
  }

  /** Sends a value for each of a segment, in pieces. */
  sendSegment(to: string, kind: FrameKind, place: Place, segment: Segment, values: Float32Array): void {
    for (const piece of piecesOf(segment)) {
      this.send(to, kind, { ...place, segment: piece.start }, partOf(values, segment, piece));
    }
  }

  /** Receives them. `write` is told each piece, as it comes, and where in the canonical space it begins. */
  async receiveSegment(
    from: string,
    kind: FrameKind,
    place: Place,
    segment: Segment,
    write: (piece: Float32Array, start: number) => void,
  ): Promise<void> {
    await Promise.all(
      piecesOf(segment).map(async ({ start, end }) => {
        write(await this.receive(from, kind, { ...place, segment: start }, end - start), start);
      }),
    );
  }

  /** The single u32 of a token frame. @throws GenerationEnded */
  async receiveToken(from: string, place: Place): Promise<number> {
    const { payload } = await this.#receive(from, "token", place);
    return new Uint32Array(payload.buffer, payload.byteOffset, 1)[0]!;
  }

  /** The reducer's view of this channel, for one step; `microbatch` tells apart what is reduced in it. */
  segments(step: number, microbatch = 0): SegmentTransport {
    const placeOf = (segment: number) => ({ step, microbatch, segment });
    return {
      send: (to, kind, offset, { codec, count, bytes }) =>
        this.#sendEncoded(to, kind, placeOf(offset), codec, bytes, [count]),
      receive: (from, kind, offset, count) => this.receive(from, kind, placeOf(offset), count),
    };
  }

  /** What was on its way from `from` is lost: who waits for it gets an error. */
  lose(from: string, reason: string): void {
    this.#mailbox.lose(from, new Error(`the link to worker ${from} broke: ${reason}`));
  }

  /** Waits for what comes otherwise. @throws GenerationEnded when that is first */
  within<T>(wait: Promise<T>): Promise<T> {
    return Promise.race([wait, this.#ended]);
  }

  close(reason: string): void {
    this.#mailbox.close(reason);
    this.#end(new GenerationEnded(reason));
  }

  #receive(from: string, kind: FrameKind, { step, microbatch = 0, segment = 0 }: Place) {
    return this.#mailbox.receive({ from, kind, step, microbatch, segment });
  }
}
