// A worker's orders under any interleaving of what comes and what is done.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { GenerationEnded } from "../../web/worker/mailbox.ts";
import { Orders, type Hold, type Release } from "../../web/worker/orders.ts";

type Assign = { readonly type: "assign"; readonly generation: number };
type Step = { readonly type: "step"; readonly generation: number };
type Order = Assign | Step | Release | Hold;

/** What an assignment began; `ended` says why it did. */
interface Begun {
  readonly number: number;
  interrupted: boolean;
  kept: boolean;
  ended: string | null;
}

const assign = (generation: number): Assign => ({ type: "assign", generation });
const step = (generation: number): Step => ({ type: "step", generation });
const release = (generation: number): Release => ({ type: "release", generation, reason: "released" });
const hold = (generation: number, interrupts: boolean): Hold => ({ type: "hold", generation, interrupts });
const turns = () => new Promise((resolve) => setTimeout(resolve));

const isLast = (order: Order): order is Release | Hold => order.type === "release" || order.type === "hold";

/** Orders whose work takes until the test says so. */
function workbench() {
  const begun: Begun[] = [];
  const done: { order: Assign | Step; generation: Begun }[] = [];
  const missed: (Assign | Step)[] = [];
  const over: (Release | Hold)[] = [];
  const failed: number[] = [];
  let working: { finish: () => void; fail: (error: Error) => void } | null = null;
  const orders = new Orders<Assign, Step, Hold, Begun>({
    begin: ({ generation }) => {
      const fresh = { number: generation, interrupted: false, kept: false, ended: null };
      begun.push(fresh);
      return fresh;
    },
    interrupt: (generation) => void (generation.interrupted = true),
    end: (generation, reason) => {
      expect(generation.ended).toBeNull();
      generation.ended = reason;
    },
    carryOut: async (order, generation) => {
      expect(working, "one order at a time").toBeNull();
      expect(generation.ended, "an order of a generation that has ended").toBeNull();
      expect(order.generation).toBe(generation.number);
      done.push({ order, generation });
      try {
        await new Promise<void>((finish, fail) => (working = { finish, fail }));
      } finally {
        working = null;
      }
    },
    keep: async (order, generation) => {
      expect(generation.ended, "nothing is left to be kept").toBeNull();
      expect(order.generation).toBe(generation.number);
      await turns();
      generation.kept = true;
    },
    missed: (order) => missed.push(order),
    over: (order, ended) => {
      if (ended) expect(ended).toMatchObject({ number: order.generation, ended: expect.any(String) });
      over.push(order);
    },
    failed: (_, generation) => failed.push(generation),
  });
  return { orders, begun, done, missed, over, failed, working: () => working };
}

/** What comes in and what happens to the order that is being carried out; numbers of generations come again. */
const anyNumber = fc.constantFrom(1, 2, 3);
const anyEvent = fc.oneof(
  anyNumber.map(assign),
  anyNumber.map(step),
  anyNumber.map(release),
  fc.tuple(anyNumber, fc.boolean()).map(([number, interrupts]) => hold(number, interrupts)),
  fc.constantFrom("finish" as const, "interrupted" as const, "pass" as const, "abandon" as const),
);

describe("orders", () => {
  test("a release or a hold ends the assignment that it came after, and no newer one, however they interleave", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(anyEvent, { maxLength: 25 }), async (events) => {
        const bench = workbench();
        const { orders } = bench;
        const came: Order[] = [];
        // The assignment that ought to be left: what came last decides, whatever was done when.
        let left: { number: number; index: number } | null = null;
        for (const event of events) {
          if (event === "pass") await turns();
          else if (event === "finish") bench.working()?.finish();
          else if (event === "interrupted") {
            // As a wait for a frame does when its generation is about to end; only then.
            if (bench.done.at(-1)?.generation.interrupted)
              bench.working()?.fail(new GenerationEnded("interrupted"));
          } else if (event === "abandon") {
            orders.end("the server is gone");
            left = null;
          } else {
            came.push(event);
            orders.take(event);
            if (event.type === "assign") left = { number: event.generation, index: bench.begun.length - 1 };
            if (isLast(event) && left?.number === event.generation) left = null;
          }
        }
        for (let calm = 0; calm < 2; calm++) {
          await turns();
          if (bench.working()) calm = -1;
          bench.working()?.finish();
        }
        expect(orders.current).toBe(left === null ? null : bench.begun[left.index]);
        expect(bench.over).toEqual(came.filter(isLast));
        const carriedOut = new Set<Order>(bench.done.map(({ order }) => order));
        expect(bench.missed).toEqual(came.filter((order) => !isLast(order) && !carriedOut.has(order)));
        expect(bench.failed).toEqual([]);
        for (const generation of bench.begun) {
          expect(generation.ended === null).toBe(generation === orders.current);
          if (generation.ended === "released") expect(generation.interrupted).toBe(true);
          if (generation.ended === "the generation is over") expect(generation.kept).toBe(true);
        }
      }),
      { numRuns: 300 },
    );
  });

  test("a release waits for its turn, and interrupts what is waited for at once", async () => {
    const bench = workbench();
    bench.orders.take(assign(1));
    await turns();
    bench.orders.take(release(1));
    expect(bench.begun[0]).toEqual({ number: 1, interrupted: true, kept: false, ended: null });
    await turns();
    expect(bench.over).toEqual([]);
    bench.working()!.finish();
    await turns();
    expect(bench.begun[0]!.ended).toBe("released");
    expect(bench.over).toEqual([release(1)]);
  });

  test("a hold lets what is under way come to its end, unless it interrupts, and keeps the state before it goes", async () => {
    const bench = workbench();
    bench.orders.take(assign(1));
    await turns();
    bench.orders.take(hold(1, false));
    expect(bench.begun[0]!.interrupted).toBe(false);
    bench.working()!.finish();
    await turns();
    await turns();
    expect(bench.begun[0]).toMatchObject({ kept: true, ended: "the generation is over" });
    bench.orders.take(assign(2));
    bench.orders.take(hold(2, true));
    expect(bench.begun[1]!.interrupted).toBe(true);
  });

  test("an order that fails ends its generation and is told; not if that has ended already", async () => {
    const bench = workbench();
    bench.orders.take(assign(1));
    await turns();
    bench.working()!.fail(new Error("no memory"));
    await turns();
    expect(bench.failed).toEqual([1]);
    expect(bench.begun[0]!.ended).toBe("it failed");
    bench.orders.take(assign(2));
    await turns();
    bench.orders.take(assign(3));
    bench.working()!.fail(new Error("too late"));
    await turns();
    expect(bench.failed).toEqual([1]);
    expect(bench.orders.current).toBe(bench.begun[2]);
  });

  test("what the order under way may wait for is done beside it, for its own generation alone", async () => {
    const bench = workbench();
    bench.orders.take(assign(1));
    await turns();
    const beside: number[] = [];
    const work = (generation: Begun) => Promise.resolve(void beside.push(generation.number));
    bench.orders.beside(step(1), work);
    bench.orders.beside(step(2), work);
    await turns();
    expect(beside).toEqual([1]);
    expect(bench.working()).not.toBeNull();
    bench.orders.beside(step(1), () => Promise.reject(new Error("no link")));
    await turns();
    expect(bench.failed).toEqual([1]);
  });
});
