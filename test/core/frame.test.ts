// Frames and their checksum: what is sent arrives, and what is damaged or foreign is refused.
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { crc32 } from "../../core/protocol/crc32.ts";
import {
  decodeFrame,
  DTYPES,
  encodeFrame,
  FRAME_HEADER_BYTES,
  FRAME_KINDS,
  FrameError,
  frameKind,
  type Dtype,
  type Frame,
  type FrameKind,
} from "../../core/protocol/frame.ts";

const u32 = fc.integer({ min: 0, max: 0xffffffff });
const frame: fc.Arbitrary<Frame> = fc.record({
  kind: fc.constantFrom(...(Object.keys(FRAME_KINDS) as FrameKind[])),
  dtype: fc.constantFrom(...(Object.keys(DTYPES) as Dtype[])),
  run: u32,
  generation: u32,
  step: u32,
  microbatch: u32,
  segment: u32,
  shape: fc.tuple(u32, u32, u32),
  payload: fc.uint8Array({ maxLength: 70 }).map((bytes) => new Uint8Array(bytes)),
});

const example = (): ArrayBuffer =>
  encodeFrame({
    kind: "activation",
    dtype: "f32",
    run: 1,
    generation: 2,
    step: 3,
    microbatch: 4,
    segment: 5,
    shape: [1, 2, 3],
    payload: Float32Array.of(0.5, -1, 2, 3, 4, 5),
  });

/** A frame whose checksum fits whatever was changed in it. */
function withChange(change: (bytes: Uint8Array) => void): ArrayBuffer {
  const buffer = example();
  const bytes = new Uint8Array(buffer);
  change(bytes);
  const checksum = crc32(bytes.subarray(FRAME_HEADER_BYTES), crc32(bytes.subarray(0, 44)));
  new DataView(buffer).setUint32(44, checksum, true);
  return buffer;
}

describe("crc32", () => {
  test("the check value of the standard, and nothing", () => {
    expect(crc32(new TextEncoder().encode("123456789"))).toBe(0xcbf43926);
    expect(crc32(new Uint8Array(0))).toBe(0);
  });

  test("continues over parts cut anywhere", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 50 }), fc.nat(50), (bytes, cut) => {
        expect(crc32(bytes.subarray(cut), crc32(bytes.subarray(0, cut)))).toBe(crc32(bytes));
      }),
    );
  });
});

describe("frames", () => {
  test("arrive as they were sent", () => {
    fc.assert(
      fc.property(frame, (frame) => {
        const buffer = encodeFrame(frame);
        expect(decodeFrame(buffer)).toEqual(frame);
        expect(frameKind(buffer)).toBe(frame.kind);
      }),
    );
  });

  test("the payload may be any view, also into the middle of a buffer", () => {
    const values = Float32Array.of(1, 2, 3, 4);
    const { payload } = decodeFrame(
      encodeFrame({ ...decodeFrame(example()), payload: values.subarray(1, 3) }),
    );
    expect([...new Float32Array(payload.slice().buffer)]).toEqual([2, 3]);
  });

  test("damage to any single byte is noticed", () => {
    const length = example().byteLength;
    for (let i = 0; i < length; i++) {
      for (const flip of [0x01, 0x80, 0xff]) {
        const buffer = example();
        new Uint8Array(buffer)[i] ^= flip;
        expect(() => decodeFrame(buffer), `byte ${i} ^ ${flip}`).toThrow(FrameError);
      }
    }
  });

  test("frames cut short or with something behind them are refused", () => {
    const buffer = example();
    for (let length = 0; length < buffer.byteLength; length++) {
      expect(() => decodeFrame(buffer.slice(0, length)), `${length} bytes`).toThrow(FrameError);
    }
    const longer = new Uint8Array(buffer.byteLength + 1);
    longer.set(new Uint8Array(buffer));
    expect(() => decodeFrame(longer.buffer)).toThrow("announces 24 bytes and holds 25");
  });

  test.each<[string, number, number, string]>([
    ["of something else", 0, 0, "not a Tributary frame"],
    ["of another version", 4, 2, "frame version 2, expected 1: reload the page"],
    ["of an unknown kind", 5, 99, "unknown frame kind 99"],
    ["of an unknown dtype", 6, 77, "dtype 77"],
  ])("frames %s are refused, undamaged though they are", (_, at, value, message) => {
    const buffer = withChange((bytes) => bytes.fill(value, at, at + 1));
    expect(() => decodeFrame(buffer)).toThrow(FrameError);
    expect(() => decodeFrame(buffer)).toThrow(message);
  });

  test("the kind of a frame nobody knows is undefined", () => {
    expect(frameKind(withChange((bytes) => bytes.fill(99, 5, 6)))).toBeUndefined();
  });
});
