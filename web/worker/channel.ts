// One generation's way of sending tensors to other workers and waiting for theirs, by meaning rather than by
// frame header. Not here: the links that carry the frames (web/link), which live on the page.
import type { SegmentTransport } from "../../core/reduce/hierarchy.ts";
import { decodeFrame, encodeFrame, type FrameKind } from "../../core/protocol/frame.ts";
import { Mailbox } from "./mailbox.ts";

type Post = (to: string, frame: ArrayBuffer) => void;

interface Place {
  readonly step: number;
  readonly microbatch?: number;
  readonly segment?: number;
}

export class Channel {
  readonly #mailbox = new Mailbox();
  readonly #run: number;
  readonly #generation: number;
  readonly #post: Post;

  constructor(run: number, generation: number, post: Post) {
    this.#run = run;
    this.#generation = generation;
    this.#post = post;
  }

  /** Takes a frame from a link; one of another run or generation is dropped. @throws FrameError when damaged */
  deliver(from: string, buffer: ArrayBuffer): void {
    const frame = decodeFrame(buffer);
    if (frame.run === this.#run && frame.generation === this.#generation) this.#mailbox.deliver(from, frame);
  }

  send(
    to: string,
    kind: FrameKind,
    place: Place,
    values: Float32Array | Uint32Array,
    shape?: number[],
  ): void {
    const [a, b, c] = shape ?? [values.length];
    const frame = encodeFrame({
      kind,
      run: this.#run,
      generation: this.#generation,
      step: place.step,
      microbatch: place.microbatch ?? 0,
      segment: place.segment ?? 0,
      dtype: values instanceof Float32Array ? "f32" : "u32",
      shape: [a ?? 0, b ?? 0, c ?? 0],
      payload: values,
    });
    this.#post(to, frame);
  }

  /** The f32 values of the frame. @throws GenerationEnded */
  async receive(from: string, kind: FrameKind, place: Place): Promise<Float32Array> {
    const { payload } = await this.#receive(from, kind, place);
    return new Float32Array(payload.buffer, payload.byteOffset, payload.byteLength / 4);
  }

  /** The single u32 of a token frame. @throws GenerationEnded */
  async receiveToken(from: string, place: Place): Promise<number> {
    const { payload } = await this.#receive(from, "token", place);
    return new Uint32Array(payload.buffer, payload.byteOffset, 1)[0]!;
  }

  /** The reducer's view of this channel, for one step. */
  segments(step: number): SegmentTransport {
    return {
      send: (to, kind, offset, values) => this.send(to, kind, { step, segment: offset }, values),
      receive: (from, kind, offset) => this.receive(from, kind, { step, segment: offset }),
    };
  }

  close(reason: string): void {
    this.#mailbox.close(reason);
  }

  #receive(from: string, kind: FrameKind, { step, microbatch = 0, segment = 0 }: Place) {
    return this.#mailbox.receive({ from, kind, step, microbatch, segment });
  }
}
