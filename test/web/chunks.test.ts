// Messages of carriers, and joining the pieces of frames again.
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { FRAME_HEADER_BYTES, MAX_FRAME_BYTES } from "../../core/protocol/frame.ts";
import {
  ackChunk,
  CHUNK_HEADER_BYTES,
  CHUNK_PAYLOAD_BYTES,
  ChunkError,
  chunkCount,
  frameChunk,
  goodbyeChunk,
  helloChunk,
  parseChunk,
} from "../../web/link/chunks.ts";
import { FrameJoiner, WINDOW_BYTES, WINDOW_FRAMES } from "../../web/link/frame-joiner.ts";

const size = fc.oneof(
  fc.constantFrom(0, 1, CHUNK_PAYLOAD_BYTES - 1, CHUNK_PAYLOAD_BYTES, CHUNK_PAYLOAD_BYTES + 1),
  fc.nat(5 * CHUNK_PAYLOAD_BYTES),
);

function frameOf(length: number): ArrayBuffer {
  return Uint8Array.from({ length }, (_, i) => (i * 31 + (i >>> 8)) & 255).buffer;
}

function split(sequence: number, frame: ArrayBuffer): Uint8Array[] {
  return Array.from({ length: chunkCount(frame.byteLength) }, (_, i) =>
    frameChunk(sequence, frame, i, false),
  );
}

function parseFrame(message: Uint8Array) {
  const chunk = parseChunk(message);
  if (chunk.type !== "frame") throw new Error(`expected a piece of a frame, got ${chunk.type}`);
  return chunk;
}

/** Header as `frameChunk` writes it, with these numbers. */
function message(sequence: number, offset: number, total: number, payloadBytes: number): Uint8Array {
  const bytes = new Uint8Array(CHUNK_HEADER_BYTES + payloadBytes);
  const view = new DataView(bytes.buffer);
  [sequence, offset, total].forEach((value, i) => view.setUint32(1 + 4 * i, value, true));
  return bytes;
}

/** The same, as sent before. */
function again(bytes: Uint8Array): Uint8Array {
  return Uint8Array.from([1, ...bytes.subarray(1)]);
}

function expectSame(frame: ArrayBuffer, expected: ArrayBuffer): void {
  expect(Buffer.compare(Buffer.from(frame), Buffer.from(expected))).toBe(0);
}

describe("frames", () => {
  test("join to what was split, in order, whatever the order of the chunks and whatever is sent again", () => {
    const input = fc.array(size, { maxLength: 6 }).chain((sizes) => {
      const chunks = sizes.flatMap((length, sequence) => split(sequence, frameOf(length)));
      const repeats = fc.subarray(chunks).map((some) => some.map(again));
      return fc.tuple(fc.constant(sizes), fc.constant(chunks), repeats, fc.infiniteStream(fc.nat()));
    });
    fc.assert(
      fc.property(input, ([sizes, chunks, repeats, dice]) => {
        const joiner = new FrameJoiner();
        const joined: ArrayBuffer[] = [];
        const waiting = [...chunks, ...repeats];
        while (waiting.length > 0) {
          const [chunk] = waiting.splice(dice.next().value! % waiting.length, 1);
          expect(chunk!.length).toBeLessThanOrEqual(CHUNK_HEADER_BYTES + CHUNK_PAYLOAD_BYTES);
          joined.push(...joiner.accept(parseFrame(chunk!)));
        }
        expect(joined.map((frame) => frame.byteLength)).toEqual(sizes);
        expect(joiner.due).toBe(sizes.length);
        for (const frame of joined) expectSame(frame, frameOf(frame.byteLength));
      }),
      { numRuns: 50 },
    );
  });

  test("cost less than 0.5 % on a 65 KB activation", () => {
    const frame = frameOf(65_000);
    const sent = split(0, frame).reduce((sum, chunk) => sum + chunk.length, 0);
    expect((sent - frame.byteLength) / frame.byteLength).toBeLessThan(0.005);
  });
});

const K = CHUNK_PAYLOAD_BYTES;

describe("a joiner refuses", () => {
  test.each([
    [
      "a total over the limit",
      [message(0, 0, FRAME_HEADER_BYTES + MAX_FRAME_BYTES + 1, 9)],
      /over the limit/,
    ],
    ["a frame too far ahead", [message(WINDOW_FRAMES, 0, 4, 4)], /too far ahead of frame 0/],
    ["an offset between two chunks", [message(0, 9, K, 4)], /chunk at 9 of a frame/],
    ["an offset behind the end", [message(0, K, K, 0)], /chunk at 65536 of a frame/],
    ["a payload that is too long", [message(0, 0, 4, 5)], /chunk of 5 bytes where 4 were due/],
    ["a payload that is too short", [message(0, 0, 4, 3)], /chunk of 3 bytes where 4 were due/],
    ["a total that changes", [message(0, 0, K + 9, K), message(0, K, K + 4, 4)], /goes on as one of/],
    ["a chunk that comes twice", [message(0, 0, K + 9, K), message(0, 0, K + 9, K)], /at 0 came twice/],
    ["a frame that comes twice", [message(0, 0, 4, 4), message(0, 0, 4, 4)], /where frame 1 was due/],
    [
      "more bytes ahead than its window",
      [message(1, 0, WINDOW_BYTES, K), message(2, 0, 4, 4)],
      /bytes ahead of frame 0, over/,
    ],
  ])("%s", (_, messages, error) => {
    const joiner = new FrameJoiner();
    const last = messages.at(-1)!;
    for (const chunk of messages.slice(0, -1)) joiner.accept(parseFrame(chunk));
    expect(() => joiner.accept(parseFrame(last))).toThrow(error);
  });
});

describe("messages", () => {
  test("say what they are", () => {
    expect(parseChunk(helloChunk({ due: 7, kept: 2 ** 32 - 1 }))).toEqual({
      type: "hello",
      due: 7,
      kept: 2 ** 32 - 1,
    });
    expect(parseChunk(ackChunk({ due: 3, lanes: 8, chunks: 0 }))).toEqual({
      type: "ack",
      due: 3,
      lanes: 8,
      chunks: 0,
    });
    expect(parseChunk(goodbyeChunk({ frames: 5, reason: "no longer planned" }))).toEqual({
      type: "goodbye",
      frames: 5,
      reason: "no longer planned",
    });
  });

  test("of any bytes are read or refused, never anything else", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), fc.nat(5), (bytes, type) => {
        if (bytes.length > 0) bytes[0] = type;
        try {
          const chunk = parseChunk(bytes);
          if (chunk.type === "frame") new FrameJoiner().accept(chunk);
        } catch (error) {
          if (!(error instanceof ChunkError)) throw error;
        }
      }),
    );
  });

  test("with an endless reason say the beginning of it", () => {
    const chunk = parseChunk(goodbyeChunk({ frames: 0, reason: "x".repeat(5000) }));
    expect(chunk).toMatchObject({ type: "goodbye", reason: "x".repeat(1000) });
  });
});
