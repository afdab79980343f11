// Binary frames: what data channels carry. A fixed 48-byte little-endian header, then raw bytes.
// Not here: splitting a frame into chunks (web/link/link.ts), or what a frame means (web/worker, core/reduce).
import { crc32 } from "./crc32.ts";

export const FRAME_HEADER_BYTES = 48;
/** Largest payload a frame may announce; checked before anything is allocated. */
export const MAX_FRAME_BYTES = 256 * 1024 * 1024;

const MAGIC = 0x31425254; // "TRB1"
const VERSION = 1;

/** What a frame carries; the number is its code on the wire. Byte counts are kept by these names. */
export const FRAME_KINDS = {
  /** Output of a stage for one microbatch, to the next stage: [B, T, C]. */
  activation: 1,
  /** Gradient of the loss with respect to that output, back to the stage it came from: [B, T, C]. */
  gradient: 2,
  /** A partial sum of parameter gradients on its way to the worker that sums the segment. */
  reduce: 3,
  /** A finished sum of parameter gradients on its way back; in an exchange, `microbatch` says what else. */
  result: 4,
  /** Gradient of the tied embedding, from the head's stage to its owner. */
  embeddingGradient: 5,
  /** The tied embedding's new values, from its owner to the head's stage. */
  embedding: 6,
  /** A sampled token, from the head's stage to the first. */
  token: 7,
  /** The weight of a term in a mean: the tokens it stands for. */
  weight: 8,
  /** What sites agree on of a part of the model, for a site that has it wrong: `microbatch` says which array. */
  parameters: 9,
  /**
   * Asks for a part of the state that a worker keeps of a generation that ended: `microbatch` says of which array,
   * `segment` and the shape's first dimension which values.
   */
  wanted: 10,
  /** That part; or no values, where it is not kept. */
  state: 11,
} as const;
export type FrameKind = keyof typeof FRAME_KINDS;

/** u32, or how f32 values were encoded (core/reduce/codec.ts). */
export const DTYPES = { f32: 0, u32: 1, f16: 2, int8: 3, int4: 4, topk: 5, sign: 6 } as const;
export type Dtype = keyof typeof DTYPES;

/** A decoded frame. `payload` is a view into the received buffer. All numbers are unsigned 32-bit. */
export interface Frame {
  readonly kind: FrameKind;
  /** Number of the run on its server: frames of another run are dropped. */
  readonly run: number;
  /** Number of the assignment: frames of an older one are dropped. */
  readonly generation: number;
  readonly step: number;
  /** Microbatch of the step, for kinds that flow through a pipeline; or what else its kind says; else 0. */
  readonly microbatch: number;
  /** Offset in the canonical flat parameter space of the first element, for kinds that carry parameters; else 0. */
  readonly segment: number;
  readonly dtype: Dtype;
  /** Up to three dimensions; the rest are 0. */
  readonly shape: readonly [number, number, number];
  readonly payload: Uint8Array<ArrayBuffer>;
}

/** A frame that cannot be believed: cut short, of another protocol, or damaged on the way. */
export class FrameError extends Error {
  override name = "FrameError";
}

/** Lays a frame out in a buffer of its own: 48 bytes of header, then the payload. */
export function encodeFrame(frame: Omit<Frame, "payload"> & { payload: ArrayBufferView }): ArrayBuffer {
  const { payload } = frame;
  const buffer = new ArrayBuffer(FRAME_HEADER_BYTES + payload.byteLength);
  const view = new DataView(buffer);
  view.setUint32(0, MAGIC, true);
  view.setUint8(4, VERSION);
  view.setUint8(5, FRAME_KINDS[frame.kind]);
  view.setUint8(6, DTYPES[frame.dtype]);
  view.setUint32(8, frame.run, true);
  view.setUint32(12, frame.generation, true);
  view.setUint32(16, frame.step, true);
  view.setUint32(20, frame.microbatch, true);
  view.setUint32(24, frame.segment, true);
  frame.shape.forEach((dimension, i) => view.setUint32(28 + 4 * i, dimension, true));
  view.setUint32(40, payload.byteLength, true);
  const bytes = new Uint8Array(buffer);
  bytes.set(new Uint8Array(payload.buffer, payload.byteOffset, payload.byteLength), FRAME_HEADER_BYTES);
  view.setUint32(44, checksum(bytes), true);
  return buffer;
}

/** Checks and reads a frame. @throws FrameError naming what is wrong */
export function decodeFrame(buffer: ArrayBuffer): Frame {
  if (buffer.byteLength < FRAME_HEADER_BYTES) {
    throw new FrameError(
      `frame of ${buffer.byteLength} bytes is shorter than its ${FRAME_HEADER_BYTES}-byte header`,
    );
  }
  const view = new DataView(buffer);
  if (view.getUint32(0, true) !== MAGIC) throw new FrameError("not a Tributary frame: wrong magic number");
  const version = view.getUint8(4);
  if (version !== VERSION) {
    throw new FrameError(`frame version ${version}, expected ${VERSION}: reload the page on both machines`);
  }
  const length = view.getUint32(40, true);
  if (length !== buffer.byteLength - FRAME_HEADER_BYTES) {
    throw new FrameError(
      `frame announces ${length} bytes and holds ${buffer.byteLength - FRAME_HEADER_BYTES}`,
    );
  }
  if (view.getUint32(44, true) !== checksum(new Uint8Array(buffer))) {
    throw new FrameError("frame checksum does not match: damaged on the way");
  }
  const kind = KIND_BY_CODE.get(view.getUint8(5));
  const dtype = DTYPE_BY_CODE.get(view.getUint8(6));
  if (!kind || !dtype)
    throw new FrameError(`unknown frame kind ${view.getUint8(5)} or dtype ${view.getUint8(6)}`);
  return {
    kind,
    dtype,
    run: view.getUint32(8, true),
    generation: view.getUint32(12, true),
    step: view.getUint32(16, true),
    microbatch: view.getUint32(20, true),
    segment: view.getUint32(24, true),
    shape: [view.getUint32(28, true), view.getUint32(32, true), view.getUint32(36, true)],
    payload: new Uint8Array(buffer, FRAME_HEADER_BYTES),
  };
}

/** The kind of an encoded frame, read without checking the rest: for byte counts by purpose. */
export function frameKind(buffer: ArrayBuffer): FrameKind | undefined {
  return KIND_BY_CODE.get(new Uint8Array(buffer)[5]!);
}

const KIND_BY_CODE = invert(FRAME_KINDS);
const DTYPE_BY_CODE = invert(DTYPES);

function invert<K extends string>(codes: Record<K, number>): Map<number, K> {
  return new Map(Object.entries(codes).map(([name, code]) => [code as number, name as K]));
}

/** CRC-32 of the whole frame but the checksum's own four bytes. */
function checksum(frame: Uint8Array): number {
  return crc32(frame.subarray(FRAME_HEADER_BYTES), crc32(frame.subarray(0, 44)));
}
