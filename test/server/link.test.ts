// One link over a carrier that is only memory, with the clock in the test's hand.
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { encodeFrame } from "../../core/protocol/frame.ts";
import { Carrier } from "../../web/link/carrier.ts";
import { CHUNK_HEADER_BYTES } from "../../web/link/chunks.ts";
import { HEARTBEAT_MS, HIGH_WATER_BYTES, Link } from "../../web/link/link.ts";

/** Delivers to `other` when told to; until then what was sent counts as buffered. */
class MemoryCarrier extends Carrier {
  override readonly open = true;
  override readonly heard = true;
  override readonly addressed = true;
  other: MemoryCarrier | undefined;
  readonly unsent: Uint8Array[] = [];
  mostBuffered = 0;
  closed = false;

  override get bufferedAmount(): number {
    return this.unsent.reduce((sum, chunk) => sum + chunk.length, 0);
  }

  override send(chunk: Uint8Array): void {
    this.unsent.push(chunk);
    this.mostBuffered = Math.max(this.mostBuffered, this.bufferedAmount);
  }

  override close(): void {
    this.closed = true;
    this.other?.onClose("the channel was closed");
  }

  deliver(): void {
    for (const chunk of this.unsent.splice(0)) this.other?.onChunk(chunk);
    this.onLow();
  }
}

interface End {
  carrier: MemoryCarrier;
  link: Link;
  opened: number;
  frames: ArrayBuffer[];
  closed: string[];
  bytes: Record<string, number>;
}

function end(): End {
  const carrier = new MemoryCarrier();
  const end = { carrier, opened: 0, frames: [], closed: [], bytes: {} } as unknown as End;
  end.link = new Link(carrier, {
    onOpen: () => end.opened++,
    onFrame: (frame) => end.frames.push(frame),
    onClose: (reason) => end.closed.push(reason),
    onBytes: (purpose, bytes) => (end.bytes[purpose] = (end.bytes[purpose] ?? 0) + bytes),
  });
  return end;
}

function join(a: End, b: End): void {
  a.carrier.other = b.carrier;
  b.carrier.other = a.carrier;
}

function linked(): [End, End] {
  const [a, b] = [end(), end()];
  join(a, b);
  flush(a, b);
  return [a, b];
}

function flush(...ends: End[]): void {
  while (ends.some(({ carrier }) => carrier.unsent.length > 0)) {
    for (const { carrier } of ends) carrier.deliver();
  }
}

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

describe("a link", () => {
  test("opens once both sides are ready, also when the first hello went unheard", () => {
    const [a, b] = [end(), end()];
    a.carrier.deliver();
    join(a, b);
    expect([a.opened, b.opened]).toEqual([0, 0]);
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
    expect(a.bytes).toEqual({ activation: CHUNK_HEADER_BYTES + frame.byteLength, link: 2 });
    expect(b.frames.map((received) => received.byteLength)).toEqual([frame.byteLength]);
  });

  test("keeps no more than the high-water mark unsent, and waits for the channel", async () => {
    const [a, b] = linked();
    const sending = a.link.send(new ArrayBuffer(5 * HIGH_WATER_BYTES));
    while (b.frames.length === 0) {
      await vi.advanceTimersByTimeAsync(0);
      expect(a.carrier.bufferedAmount).toBeGreaterThan(0); // it went on after the last delivery
      a.carrier.deliver();
    }
    await sending;
    expect(a.carrier.mostBuffered).toBeLessThanOrEqual(HIGH_WATER_BYTES);
    expect(a.carrier.mostBuffered).toBeGreaterThan(HIGH_WATER_BYTES / 2);
  });

  test("lives on heartbeats, and ends after 10 s without", async () => {
    const [a, b] = linked();
    for (let i = 0; i < 20; i++) {
      await vi.advanceTimersByTimeAsync(HEARTBEAT_MS);
      flush(a, b);
    }
    expect(a.closed).toEqual([]);
    a.carrier.other = undefined;
    b.carrier.other = undefined;
    await vi.advanceTimersByTimeAsync(4 * HEARTBEAT_MS);
    expect(a.closed).toEqual([]);
    await vi.advanceTimersByTimeAsync(HEARTBEAT_MS);
    expect(a.closed).toEqual(["nothing heard for 10 s"]);
    expect(a.carrier.closed).toBe(true);
  });

  test("closed on purpose tells the other side why, and only that side", async () => {
    const [a, b] = linked();
    const closing = a.link.close("run over");
    flush(a, b);
    await closing;
    expect(a.closed).toEqual([]);
    expect(b.closed).toEqual(["closed by the other side: run over"]);
    expect(a.carrier.closed).toBe(true);
    await expect(b.link.send(new ArrayBuffer(8))).rejects.toThrow(/closed by the other side: run over/);
  });

  test("closes within a second when nobody takes the goodbye", async () => {
    const [a] = linked();
    a.carrier.other = undefined;
    const closing = a.link.close("run over");
    await vi.advanceTimersByTimeAsync(1000);
    await closing;
    expect(a.carrier.closed).toBe(true);
  });

  test("that ends rejects the frame that waits for room and those behind it", async () => {
    const [a] = linked();
    const sending = [a.link.send(new ArrayBuffer(3 * HIGH_WATER_BYTES)), a.link.send(new ArrayBuffer(8))];
    const results = Promise.allSettled(sending);
    await vi.advanceTimersByTimeAsync(0);
    a.carrier.onClose("gone");
    expect((await results).map(({ status }) => status)).toEqual(["rejected", "rejected"]);
    expect(a.closed).toEqual(["gone"]);
  });

  test.each([
    ["a message of unknown type", Uint8Array.of(9)],
    ["a message that was not binary", new Uint8Array()],
    ["a piece of a frame over the limit", Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255)],
  ])("does not survive %s", (_, message) => {
    const [a, b] = linked();
    a.carrier.onChunk(message);
    expect(a.closed[0]).toMatch(/^damaged: /);
    expect(a.frames).toEqual([]);
    expect(b.closed).toEqual(["the channel was closed"]);
  });
});
