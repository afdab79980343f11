// How a planned link tries, tries again and gives up, with carriers that only the test opens.
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { LinkKind } from "../../core/plan/plan.ts";
import { Carrier, type Exchange } from "../../web/link/carrier.ts";
import { ackChunk, helloChunk } from "../../web/link/chunks.ts";
import { MEND_MS } from "../../web/link/link.ts";
import { Pair, RELAY_AFTER_MS } from "../../web/link/pair.ts";

class TestCarrier extends Carrier {
  open = false;
  heard = false;
  addressed = true;
  closed = false;
  override readonly relayed: boolean;
  readonly bufferedAmount = 0;
  readonly sent: Uint8Array[] = [];

  constructor(relayed: boolean) {
    super();
    this.relayed = relayed;
  }

  send(chunk: Uint8Array): void {
    this.sent.push(chunk);
  }

  close(): void {
    this.closed = true;
  }
}

/** An exchange whose carriers the test opens, and calls that wait in it. */
class TestExchange implements Exchange {
  readonly trouble: string | undefined;
  /** Given out, in order. */
  readonly carriers: TestCarrier[] = [];
  readonly links: string[] = [];
  readonly waiting: string[] = [];
  readonly #relayed: boolean;

  constructor(trouble?: string, relayed = false) {
    this.trouble = trouble;
    this.#relayed = relayed;
  }

  call(_peer: string, link: string): TestCarrier {
    const carrier = new TestCarrier(this.#relayed);
    this.carriers.push(carrier);
    this.links.push(link);
    return carrier;
  }

  called(): string | undefined {
    return this.waiting[0];
  }

  answer(peer: string): TestCarrier | undefined {
    const link = this.waiting.shift();
    return link === undefined ? undefined : this.call(peer, link);
  }

  close(): void {}
}

function pair(initiator: boolean, { trouble, kind = "site" }: { trouble?: string; kind?: LinkKind } = {}) {
  const exchange = new TestExchange(trouble);
  const relay = new TestExchange(undefined, true);
  const events: string[] = [];
  const pair = new Pair({
    peer: "b-2",
    kind,
    initiator,
    exchange,
    relay,
    onFrame: () => events.push("frame"),
    onBytes: () => {},
    onRelayed: (relayed) => events.push(relayed ? "relayed" : "direct"),
    onBroken: (reason) => events.push(`broken: ${reason}`),
    onFailed: () => events.push("failed"),
  });
  pair.opened.then(
    () => events.push("opened"),
    (error: Error) => events.push(error.message),
  );
  pair.expectIn(30_000);
  return { pair, exchange, relay, carriers: exchange.carriers, waiting: exchange.waiting, events };
}

const HELLO = helloChunk({ due: 0, kept: 0 });

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

describe("a pair", () => {
  test("whose calls fail calls again, and opens", async () => {
    const { carriers, events } = pair(true);
    carriers[0]!.onClose("ICE failed");
    await vi.advanceTimersByTimeAsync(1000);
    expect(carriers).toHaveLength(2);
    carriers[1]!.onChunk(HELLO);
    await vi.advanceTimersByTimeAsync(8000);
    expect(events).toEqual(["opened"]);
    expect(carriers).toHaveLength(2);
  });

  test("that answers takes the calls that wait and those that come, also for another link while none is open", () => {
    const { pair: answering, exchange, carriers, waiting } = pair(false);
    expect(carriers).toHaveLength(0);
    for (const [count, link] of ["one", "one", "two"].entries()) {
      waiting.push(link);
      answering.onCall();
      expect(carriers).toHaveLength(count + 1);
    }
    expect(exchange.links).toEqual(["one", "one", "two"]);
    expect(carriers.map(({ closed }) => closed)).toEqual([true, true, false]);
  });

  test("that answered and is open breaks when another link is begun, and leaves that call to the next pair", () => {
    const { pair: answering, carriers, waiting, events } = pair(false);
    waiting.push("one");
    answering.onCall();
    carriers[0]!.onChunk(HELLO);
    waiting.push("two");
    answering.onCall();
    expect(events).toEqual(["broken: the other side connected anew"]);
    expect(waiting).toEqual(["two"]);
  });

  test("of a wide link calls for as many lanes as either side wants, all for one link", async () => {
    const { exchange, carriers } = pair(true, { kind: "wide" });
    carriers[0]!.onChunk(HELLO);
    carriers[0]!.onChunk(ackChunk({ due: 0, lanes: 4, chunks: 0 }));
    expect(carriers).toHaveLength(4);
    expect(new Set(exchange.links).size).toBe(1);
    carriers[3]!.onClose("ICE failed");
    expect(carriers).toHaveLength(4);
    await vi.advanceTimersByTimeAsync(1000);
    expect(carriers).toHaveLength(5);
    carriers[0]!.onChunk(ackChunk({ due: 0, lanes: 255, chunks: 0 }));
    expect(carriers.filter(({ closed }) => !closed)).toHaveLength(8);
  });

  test("of a site link has one lane, whatever the other side says", () => {
    const { carriers } = pair(true);
    carriers[0]!.onChunk(HELLO);
    carriers[0]!.onChunk(ackChunk({ due: 0, lanes: 4, chunks: 0 }));
    expect(carriers).toHaveLength(1);
  });

  test("turns to the relay when no direct call succeeds, and leaves it when one does", async () => {
    const { relay, carriers, events } = pair(true);
    await vi.advanceTimersByTimeAsync(RELAY_AFTER_MS - 1);
    expect(relay.carriers).toHaveLength(0);
    await vi.advanceTimersByTimeAsync(1);
    relay.carriers[0]!.onClose("the other page's connection closed");
    await vi.advanceTimersByTimeAsync(1000);
    expect(relay.carriers).toHaveLength(2);
    relay.carriers[1]!.onChunk(HELLO);
    await vi.advanceTimersByTimeAsync(8000);
    expect(events).toEqual(["relayed", "opened"]);
    expect(carriers).toHaveLength(1); // the attempt that was under way
    carriers[0]!.onChunk(HELLO);
    expect(relay.carriers[1]!.closed).toBe(true);
    expect(events).toEqual(["relayed", "opened", "direct"]);
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

  test("that was open calls again for the same link, and reports its end once, when that fails", async () => {
    const { exchange, relay, carriers, events } = pair(true);
    carriers[0]!.onChunk(HELLO);
    carriers[0]!.onClose("the connection was closed");
    await vi.advanceTimersByTimeAsync(1000);
    expect(carriers).toHaveLength(2);
    expect(new Set(exchange.links).size).toBe(1);
    carriers[1]!.onChunk(HELLO);
    await vi.advanceTimersByTimeAsync(5000);
    expect(events).toEqual(["opened"]);
    carriers[1]!.onClose("the connection was closed");
    await vi.advanceTimersByTimeAsync(RELAY_AFTER_MS + 1000);
    expect(relay.links).toEqual([exchange.links[0]]);
    await vi.advanceTimersByTimeAsync(MEND_MS);
    expect(events).toEqual(["opened", "broken: the connection was closed"]);
    expect([...carriers, ...relay.carriers].every(({ closed }) => closed)).toBe(true);
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
    const { carriers, events } = pair(true, trouble === undefined ? {} : { trouble: trouble as string });
    Object.assign(carriers[0]!, state);
    if (failure) carriers[0]!.onClose(failure as string);
    await vi.advanceTimersByTimeAsync(30_000);
    expect(events[0]).toBe("failed");
    expect(events[1]).toMatch(/^no connection to worker b-2 in 30 s: /);
    expect(events[1]).toMatch(message);
  });
});
