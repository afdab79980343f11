// Splitting frames into data-channel messages and joining them again.
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { FRAME_HEADER_BYTES, MAX_FRAME_BYTES } from "../../core/protocol/frame.ts";
import {
  CHUNK_HEADER_BYTES,
  CHUNK_PAYLOAD_BYTES,
  ChunkError,
  FrameJoiner,
  goodbyeChunk,
  heartbeatChunk,
  helloChunk,
  parseChunk,
  splitFrame,
} from "../../web/link/chunks.ts";

const size = fc.oneof(
  fc.constantFrom(0, 1, CHUNK_PAYLOAD_BYTES - 1, CHUNK_PAYLOAD_BYTES, CHUNK_PAYLOAD_BYTES + 1),
  fc.nat(5 * CHUNK_PAYLOAD_BYTES),
);

function frameOf(length: number): ArrayBuffer {
  return Uint8Array.from({ length }, (_, i) => (i * 31 + (i >>> 8)) & 255).buffer;
}

function frameChunk(message: Uint8Array) {
  const chunk = parseChunk(message);
  if (chunk.type !== "frame") throw new Error(`expected a piece of a frame, got ${chunk.type}`);
  return chunk;
}

/** Header as `splitFrame` writes it, with these numbers. */
function message(sequence: number, offset: number, total: number, payloadBytes: number): Uint8Array {
  const bytes = new Uint8Array(CHUNK_HEADER_BYTES + payloadBytes);
  const view = new DataView(bytes.buffer);
  [sequence, offset, total].forEach((value, i) => view.setUint32(1 + 4 * i, value, true));
  return bytes;
}

describe("frames", () => {
  test("join to what was split, in order", () => {
    fc.assert(
      fc.property(fc.array(size, { maxLength: 6 }), (sizes) => {
        const joiner = new FrameJoiner();
        const joined: ArrayBuffer[] = [];
        sizes.forEach((length, sequence) => {
          for (const chunk of splitFrame(sequence, frameOf(length))) {
            expect(chunk.length).toBeLessThanOrEqual(CHUNK_HEADER_BYTES + CHUNK_PAYLOAD_BYTES);
            const frame = joiner.accept(frameChunk(chunk));
            if (frame) joined.push(frame);
          }
        });
        expect(joined.map((frame) => frame.byteLength)).toEqual(sizes);
        for (const frame of joined) {
          expect(Buffer.compare(Buffer.from(frame), Buffer.from(frameOf(frame.byteLength)))).toBe(0);
        }
      }),
      { numRuns: 30 },
    );
  });

  test("cost less than 0.5 % on a 65 KB activation", () => {
    const frame = frameOf(65_000);
    const sent = [...splitFrame(0, frame)].reduce((sum, chunk) => sum + chunk.length, 0);
    expect((sent - frame.byteLength) / frame.byteLength).toBeLessThan(0.005);
  });

  test("over the limit are not sent", () => {
    const frame = { byteLength: FRAME_HEADER_BYTES + MAX_FRAME_BYTES + 1 } as ArrayBuffer;
    expect(() => splitFrame(0, frame).next()).toThrow(/over the limit/);
  });
});

describe("a joiner refuses", () => {
  test.each([
    [
      "a total over the limit",
      [message(0, 0, FRAME_HEADER_BYTES + MAX_FRAME_BYTES + 1, 9)],
      /over the limit/,
    ],
    ["another frame than the next", [message(1, 0, 4, 4)], /frame 1 at 0 where frame 0 at 0 was due/],
    ["an offset out of order", [message(0, CHUNK_PAYLOAD_BYTES, CHUNK_PAYLOAD_BYTES + 4, 4)], /was due/],
    ["a payload that is too long", [message(0, 0, 4, 5)], /chunk of 5 bytes where 4 were due/],
    ["a payload that is too short", [message(0, 0, 4, 3)], /chunk of 3 bytes where 4 were due/],
    [
      "a total that changes",
      [
        message(0, 0, CHUNK_PAYLOAD_BYTES + 9, CHUNK_PAYLOAD_BYTES),
        message(0, CHUNK_PAYLOAD_BYTES, CHUNK_PAYLOAD_BYTES + 4, 4),
      ],
      /goes on as one of/,
    ],
  ])("%s", (_, messages, error) => {
    const joiner = new FrameJoiner();
    const last = messages.pop()!;
    for (const chunk of messages) expect(joiner.accept(frameChunk(chunk))).toBeUndefined();
    expect(() => joiner.accept(frameChunk(last))).toThrow(error);
  });
});

describe("messages", () => {
  test("say what they are", () => {
    expect(parseChunk(helloChunk())).toEqual({ type: "hello" });
    expect(parseChunk(heartbeatChunk())).toEqual({ type: "heartbeat" });
    expect(parseChunk(goodbyeChunk("no longer planned"))).toEqual({
      type: "goodbye",
      reason: "no longer planned",
    });
  });

  test("of any bytes are read or refused, never anything else", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        try {
          const chunk = parseChunk(bytes);
          if (chunk.type === "frame") new FrameJoiner().accept({ ...chunk, total: chunk.total % 1000 });
        } catch (error) {
          expect(error).toBeInstanceOf(ChunkError);
        }
      }),
    );
  });
});
