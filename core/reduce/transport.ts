// What reducers need of the links between workers: encoded values, sent and received by meaning.
// Not here: how values are encoded (codec.ts), the links themselves (web/link).
import { decode, encode, type Codec } from "./codec.ts";

/** f32 values on their way. */
export interface Encoded {
  readonly codec: Codec;
  readonly count: number;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** A term on its way to who sums it, its weight, or the finished sum on its way back. */
export type SegmentKind = "reduce" | "weight" | "result";

/** Moves values of one step between workers. A segment's offset tells apart what one worker sends. */
export interface SegmentTransport {
  /** Copies them at once. */
  send(to: string, kind: SegmentKind, offset: number, values: Encoded): void;
  /** The values as their encoding left them. Rejects when they are not `count`: none must stay as they were. */
  receive(from: string, kind: SegmentKind, offset: number, count: number): Promise<Float32Array>;
}

export function encoded(codec: Codec, values: Float32Array): Encoded {
  const { buffer, byteOffset, byteLength } = encode(codec, values);
  return {
    codec,
    count: values.length,
    bytes: new Uint8Array(buffer as ArrayBuffer, byteOffset, byteLength),
  };
}

export function decoded({ codec, count, bytes }: Encoded): Float32Array<ArrayBuffer> {
  return decode(codec, bytes, count);
}
