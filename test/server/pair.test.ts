// How a planned link tries, tries again and gives up, with carriers that only the test opens.
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { Carrier, type Exchange } from "../../web/link/carrier.ts";
import { helloChunk } from "../../web/link/chunks.ts";
import { Pair } from "../../web/link/pair.ts";

class TestCarrier extends Carrier {
  open = false;
  heard = false;
  addressed = true;
  closed = false;
  readonly bufferedAmount = 0;
  readonly sent: Uint8Array[] = [];

  send(chunk: Uint8Array): void {
    this.sent.push(chunk);
  }

  close(): void {
    this.closed = true;
  }
}

function pair(initiator: boolean, trouble?: string) {
  const carriers: TestCarrier[] = [];
  const waiting: TestCarrier[] = [];
  const events: string[] = [];
  const exchange: Exchange = {
    trouble,
    call() {
      const carrier = new TestCarrier();
      carriers.push(carrier);
      return carrier;
    },
    answer() {
      const carrier = waiting.pop();
      if (carrier) carriers.push(carrier);
      return carrier;
    },
    close() {},
  };
  const pair = new Pair({
    peer: "b-2",
    kind: "site",
    initiator,
    exchange,
    onFrame: () => events.push("frame"),
    onBytes: () => {},
    onBroken: (reason) => events.push(`broken: ${reason}`),
    onFailed: () => events.push("failed"),
  });
  pair.opened.then(
    () => events.push("opened"),
    (error: Error) => events.push(error.message),
  );
  pair.expectIn(30_000);
  return { pair, carriers, waiting, events };
}

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

describe("a pair", () => {
  test("whose calls fail calls again, and opens", async () => {
    const { carriers, events } = pair(true);
    carriers[0]!.onClose("ICE failed");
    await vi.advanceTimersByTimeAsync(1000);
    expect(carriers).toHaveLength(2);
    carriers[1]!.onChunk(helloChunk());
    await vi.advanceTimersByTimeAsync(60_000);
    expect(events[0]).toBe("opened");
    expect(carriers).toHaveLength(2);
  });

  test("that answers takes the call that waits, or the one that comes, or the one after that", () => {
    const { pair: answering, carriers, waiting } = pair(false);
    expect(carriers).toHaveLength(0);
    for (const count of [1, 2]) {
      waiting.push(new TestCarrier());
      answering.onCall();
      expect(carriers).toHaveLength(count);
    }
    expect(carriers.map(({ closed }) => closed)).toEqual([true, false]);
  });

  test("has its time anew when a later plan wants it too", async () => {
    const { pair: connecting, events } = pair(true);
    await vi.advanceTimersByTimeAsync(29_000);
    connecting.expectIn(30_000);
    await vi.advanceTimersByTimeAsync(29_000);
    expect(events).toEqual([]);
    await vi.advanceTimersByTimeAsync(1000);
    expect(events[0]).toBe("failed");
  });

  test("closed before it opened rejects and tries no more", async () => {
    const { pair: connecting, carriers, events } = pair(true);
    await connecting.close("no longer planned");
    await vi.advanceTimersByTimeAsync(60_000);
    expect(events).toEqual(["link to worker b-2 closed: no longer planned"]);
    expect(carriers.map(({ closed }) => closed)).toEqual([true]);
  });

  test("that was open reports its end, once", async () => {
    const { carriers, events } = pair(true);
    carriers[0]!.onChunk(helloChunk());
    carriers[0]!.onClose("the connection was closed");
    await vi.advanceTimersByTimeAsync(60_000);
    expect(events).toEqual(["broken: the connection was closed", "opened"]);
    expect(carriers).toHaveLength(1);
  });
});

describe("a pair that gives up names", () => {
  test.each([
    ["the broker", { trouble: "this server's broker: Invalid key provided" }, /Invalid key provided$/],
    ["a page that is not there", {}, /nothing was heard from its page/],
    [
      "a browser without addresses",
      { heard: true, addressed: false },
      /allow this page microphone and camera/,
    ],
    ["the network", { heard: true }, /block UDP between the two machines\?$/],
    ["the last failure", { heard: true, failure: "ICE failed" }, /\(last attempt: ICE failed\)$/],
  ])("%s", async (_, { trouble, failure, ...state }: Record<string, unknown>, message) => {
    const { carriers, events } = pair(true, trouble as string | undefined);
    Object.assign(carriers[0]!, state);
    if (failure) carriers[0]!.onClose(failure as string);
    await vi.advanceTimersByTimeAsync(30_000);
    expect(events[0]).toBe("failed");
    expect(events[1]).toMatch(/^no connection to worker b-2 in 30 s: /);
    expect(events[1]).toMatch(message);
  });
});
