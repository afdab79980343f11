// Links over carriers that are only memory, with the clock in the test's hand.
import * as fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { encodeFrame } from "../../core/protocol/frame.ts";
import {
  ackChunk,
  CHUNK_HEADER_BYTES,
  CHUNK_PAYLOAD_BYTES,
  frameChunk,
  helloChunk,
  parseChunk,
} from "../../web/link/chunks.ts";
import { WINDOW_BYTES } from "../../web/link/frame-joiner.ts";
import { HEARTBEAT_MS, HIGH_WATER_BYTES } from "../../web/link/lane.ts";
import { MEND_MS } from "../../web/link/link.ts";
import { end, flush, join, linked, MemoryCarrier, type End } from "./memory-carriers.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** A frame that says its number. */
function numbered(number: number, bytes: number): ArrayBuffer {
  const frame = new Uint8Array(Math.max(8, bytes));
  new DataView(frame.buffer).setUint32(0, number, true);
  frame[frame.length - 1] = number;
  return frame.buffer;
}

const numbers = ({ frames }: End) => frames.map((frame) => new DataView(frame).getUint32(0, true));

describe("a link", () => {
  test("opens once both sides are ready, also when the first hello went unheard", () => {
    const [a, b] = [end(), end()];
    const early = new MemoryCarrier();
    a.link.add(early);
    early.deliver();
    expect([a.opened, b.opened]).toEqual([0, 0]);
    const late = new MemoryCarrier();
    [early.other, late.other] = [late, early];
    [a.carriers, b.carriers] = [[early], [late]];
    b.link.add(late);
    flush(a, b);
    expect([a.opened, b.opened]).toEqual([1, 1]);
  });

  test("refuses frames before it is open", async () => {
    await expect(end().link.send(new ArrayBuffer(8))).rejects.toThrow(/not open yet/);
  });

  test("counts bytes by the frame's kind, chunk headers included", async () => {
    const [a, b] = linked();
    const frame = encodeFrame({
      kind: "activation",
      run: 1,
      generation: 1,
      step: 1,
      microbatch: 0,
      segment: 0,
      dtype: "f32",
      shape: [1, 2, 3],
      payload: new Float32Array(6),
    });
    await a.link.send(frame);
    flush(a, b);
    const hello = helloChunk({ due: 0, kept: 0 }).length;
    const { probe, ...bytes } = a.bytes;
    expect(bytes).toEqual({ activation: CHUNK_HEADER_BYTES + frame.byteLength, link: 2 * hello });
    expect(probe).toBeGreaterThan(0);
    expect(b.frames.map((received) => received.byteLength)).toEqual([frame.byteLength]);
  });

  test("keeps no more than the high-water mark unsent, and waits for the channel", async () => {
    const [a, b] = linked();
    const sending = a.link.send(new ArrayBuffer(5 * HIGH_WATER_BYTES));
    while (b.frames.length === 0) {
      expect(a.carriers[0]!.bufferedAmount).toBeGreaterThan(0); // it went on after the last delivery
      a.carriers[0]!.deliver();
    }
    await sending;
    expect(a.carriers[0]!.mostBuffered).toBeLessThanOrEqual(HIGH_WATER_BYTES);
    expect(a.carriers[0]!.mostBuffered).toBeGreaterThan(HIGH_WATER_BYTES / 2);
  });

  test("sends no more ahead of what is acknowledged than the other side's window", async () => {
    const [a, b] = linked();
    const frames = [numbered(0, WINDOW_BYTES - CHUNK_PAYLOAD_BYTES), numbered(1, 2 * CHUNK_PAYLOAD_BYTES)];
    for (const frame of frames) void a.link.send(frame);
    while (a.carriers[0]!.unsent.length > 0) a.carriers[0]!.deliver();
    expect(numbers(b)).toEqual([0]);
    flush(a, b); // the acknowledgement
    expect(numbers(b)).toEqual([0, 1]);
  });

  test("lives on heartbeats, and ends after 10 s without and 20 s more to mend it", async () => {
    const [a, b] = linked();
    for (let i = 0; i < 20; i++) {
      await vi.advanceTimersByTimeAsync(HEARTBEAT_MS);
      flush(a, b);
    }
    expect(a.lost).toEqual([]);
    a.carriers[0]!.other = undefined;
    b.carriers[0]!.other = undefined;
    await vi.advanceTimersByTimeAsync(4 * HEARTBEAT_MS);
    expect(a.lost).toEqual([]);
    await vi.advanceTimersByTimeAsync(HEARTBEAT_MS);
    expect(a.lost).toEqual(["nothing heard for 10 s"]);
    expect(a.carriers[0]!.closed).toBe(true);
    await vi.advanceTimersByTimeAsync(MEND_MS - 1);
    expect(a.closed).toEqual([]);
    await vi.advanceTimersByTimeAsync(1);
    expect(a.closed).toEqual(["nothing heard for 10 s"]);
  });

  test("that has lost its only lane takes frames, and brings all of them over the next one, once", async () => {
    const [a, b] = linked();
    const sending = [0, 1, 2].map((number) => a.link.send(numbered(number, 3 * CHUNK_PAYLOAD_BYTES)));
    a.carriers[0]!.deliver(4);
    a.carriers[0]!.close();
    sending.push(a.link.send(numbered(3, 8)));
    await vi.advanceTimersByTimeAsync(MEND_MS - 1);
    expect(numbers(b)).toEqual([0]);
    join(a, b);
    flush(a, b);
    await Promise.all(sending);
    expect(numbers(b)).toEqual([0, 1, 2, 3]);
    await vi.advanceTimersByTimeAsync(MEND_MS);
    expect([a.closed, b.closed]).toEqual([[], []]);
  });

  test("spreads a frame over the lanes that are wanted, and does without one that goes", async () => {
    const [a, b] = linked({ mostLanes: 8 }, 4);
    b.carriers[0]!.other!.onChunk(ackChunk({ due: 0, lanes: 4, chunks: 0 }));
    const frame = numbered(0, 40 * CHUNK_PAYLOAD_BYTES);
    const sending = a.link.send(frame);
    expect(a.carriers.map(({ unsent }) => unsent.length)).toEqual([3, 3, 3, 3]);
    a.carriers[1]!.close();
    flush(a, b);
    await sending;
    expect(Buffer.compare(Buffer.from(b.frames[0]!), Buffer.from(frame))).toBe(0);
    expect(b.closed).toEqual([]);
  });

  test("has another lane send as well what one that stalls does not bring", async () => {
    const [a, b] = linked({ mostLanes: 8 }, 2);
    for (const carrier of b.carriers) carrier.send(ackChunk({ due: 0, lanes: 2, chunks: 0 }));
    flush(b);
    await a.link.send(numbered(0, 4 * CHUNK_PAYLOAD_BYTES));
    a.carriers[1]!.deliver();
    for (let i = 0; i < 8; i++) {
      b.carriers[1]!.deliver();
      await vi.advanceTimersByTimeAsync(250);
      a.carriers[1]!.deliver();
    }
    expect(numbers(b)).toEqual([0]);
    a.carriers[0]!.deliver(); // what comes at last is known
    flush(a, b);
    expect([numbers(b), b.closed]).toEqual([[0], []]);
  });

  test("leaves the relay when there is a direct lane, and loses nothing", async () => {
    const [a, b] = [end(), end()];
    const [relay] = join(a, b, true);
    flush(a, b);
    for (const number of [0, 1, 2]) void a.link.send(numbered(number, 2 * CHUNK_PAYLOAD_BYTES));
    relay.deliver(1);
    join(a, b);
    flush(b);
    a.carriers[1]!.deliver();
    a.link.dropRelayed();
    expect(relay.closed).toBe(true);
    flush(a, b);
    expect(numbers(b)).toEqual([0, 1, 2]);
  });

  test("closed on purpose tells the other side why, and only that side", async () => {
    const [a, b] = linked();
    const closing = a.link.close("run over");
    flush(a, b);
    await closing;
    expect(a.closed).toEqual([]);
    expect(b.closed).toEqual(["closed by the other side: run over"]);
    expect(a.carriers[0]!.closed).toBe(true);
    await expect(b.link.send(new ArrayBuffer(8))).rejects.toThrow(/closed by the other side: run over/);
  });

  test("closed on purpose brings the frames before, though the goodbye overtakes them", async () => {
    const [a, b] = linked({ mostLanes: 8 }, 2);
    for (const carrier of b.carriers) carrier.send(ackChunk({ due: 0, lanes: 2, chunks: 0 }));
    flush(b);
    await a.link.send(numbered(0, 2 * CHUNK_PAYLOAD_BYTES));
    const closing = a.link.close("run over");
    a.carriers[0]!.deliver();
    expect(b.closed).toEqual([]);
    flush(a, b);
    await closing;
    expect(numbers(b)).toEqual([0]);
    expect(b.closed).toEqual(["closed by the other side: run over"]);
  });

  test("closes within a second when nobody takes the goodbye", async () => {
    const [a] = linked();
    a.carriers[0]!.other = undefined;
    const closing = a.link.close("run over");
    await vi.advanceTimersByTimeAsync(1000);
    await closing;
    expect(a.carriers[0]!.closed).toBe(true);
  });

  test("that ends rejects the frame that waits for room and those behind it", async () => {
    const [a] = linked();
    const sending = [a.link.send(new ArrayBuffer(3 * HIGH_WATER_BYTES)), a.link.send(new ArrayBuffer(8))];
    const results = Promise.allSettled(sending);
    a.carriers[0]!.close();
    await vi.advanceTimersByTimeAsync(MEND_MS);
    expect((await results).map(({ status }) => status)).toEqual(["rejected", "rejected"]);
    expect(a.closed).toHaveLength(1);
  });

  test.each([
    ["a message of unknown type", Uint8Array.of(9)],
    ["a message that was not binary", new Uint8Array()],
    ["a piece of a frame over the limit", Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255)],
    ["an acknowledgement of what was not sent", ackChunk({ due: 1, lanes: 1, chunks: 0 })],
  ])("does not survive %s", async (_, message) => {
    const [a, b] = linked();
    a.carriers[0]!.onChunk(message);
    expect(a.closed[0]).toMatch(/^damaged: /);
    expect(a.frames).toEqual([]);
    flush(a, b);
    expect(b.closed[0]).toMatch(/^closed by the other side: damaged: /);
  });

  test("that the other side has forgotten is damaged, not begun anew in the middle", async () => {
    const [a, b] = linked();
    await a.link.send(numbered(0, 8));
    await vi.advanceTimersByTimeAsync(0);
    flush(a, b);
    await vi.advanceTimersByTimeAsync(1000);
    flush(a, b);
    const stranger = end();
    a.carriers[0]!.close();
    join(a, stranger);
    flush(a, stranger);
    expect(a.closed[0] ?? stranger.closed[0]).toMatch(/damaged: /);
    expect(stranger.frames).toEqual([]);
  });
});

/** What may happen to two linked pages. */
const happening = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ what: fc.constant("send"), side: fc.nat(1), size: fc.nat(6 * 65_536) }),
  },
  {
    weight: 8,
    arbitrary: fc.record({ what: fc.constant("deliver"), side: fc.nat(1), lane: fc.nat(), size: fc.nat(4) }),
  },
  { weight: 1, arbitrary: fc.record({ what: fc.constant("die"), side: fc.nat(1), lane: fc.nat() }) },
  { weight: 1, arbitrary: fc.record({ what: fc.constant("go silent"), side: fc.nat(1), lane: fc.nat() }) },
  { weight: 2, arbitrary: fc.record({ what: fc.constant("join"), relayed: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ what: fc.constant("wait"), size: fc.nat(3000) }) },
);

test("whatever happens to lanes, frames arrive once and in order", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(happening, { maxLength: 80 }),
      fc.constantFrom(1, 8),
      async (story, mostLanes) => {
        const ends = linked({ mostLanes, mendMs: 1e9 }, Math.min(2, mostLanes));
        const sent: [number[], number[]] = [[], []];
        const sending: Promise<void>[] = [];
        for (const event of story as {
          what: string;
          side: number;
          lane: number;
          size: number;
          relayed: boolean;
        }[]) {
          const here = ends[event.side]!;
          const carrier = here?.carriers[event.lane % here.carriers.length];
          if (event.what === "send") {
            const number = sent[event.side as 0 | 1].push(0) - 1;
            sent[event.side as 0 | 1][number] = number;
            sending.push(here.link.send(numbered(number, event.size)));
          } else if (event.what === "deliver") carrier!.deliver(1 + event.size);
          else if (event.what === "die") {
            // What was on its way may still be read there before the end is noticed.
            if (!carrier!.closed) carrier!.deliver(1);
            carrier!.close();
            carrier!.onClose("died");
          } else if (event.what === "go silent") {
            if (carrier!.other) carrier!.other.other = undefined;
            carrier!.other = undefined;
          } else if (event.what === "join") join(...ends, event.relayed);
          else await vi.advanceTimersByTimeAsync(event.size);
        }
        // In the end a lane comes that stays.
        join(...ends);
        for (let i = 0; i < 10; i++) {
          flush(...ends);
          await vi.advanceTimersByTimeAsync(HEARTBEAT_MS);
        }
        flush(...ends);
        await Promise.all(sending);
        expect(ends.map(({ closed }) => closed)).toEqual([[], []]);
        expect(ends.map(numbers)).toEqual([sent[1], sent[0]]);
        for (const { link } of ends) void link.close("end");
        await vi.advanceTimersByTimeAsync(1000);
      },
    ),
    { numRuns: 150 },
  );
});

test("a chunk read late from a lane that was given up is no damage", async () => {
  const [a, b] = linked({ mostLanes: 8 }, 2);
  const [first] = b.carriers;
  void a.link.send(numbered(0, 8));
  const [late] = a.carriers[0]!.unsent;
  a.carriers[0]!.other = undefined;
  a.carriers[0]!.onClose("died");
  flush(a, b);
  expect(parseChunk(late!)).toMatchObject({ type: "frame", again: false });
  first!.onChunk(late!);
  expect(numbers(b)).toEqual([0]);
  expect(b.closed).toEqual([]);
  first!.onChunk(frameChunk(1, numbered(1, 8), 0, false));
  first!.onChunk(frameChunk(1, numbered(1, 8), 0, false));
  expect(b.closed[0]).toMatch(/damaged: frame 1 goes on where frame 2 was due/);
});
