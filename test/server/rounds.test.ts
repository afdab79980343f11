// The course of strategy `rounds`, with made-up workers.
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { RoundsConfig } from "../../core/model/config.ts";
import { makePlan } from "../../core/plan/partition.ts";
import { Clock } from "../../core/simulate/clock.ts";
import { Ledger } from "../../core/simulate/ledger.ts";
import { Lines } from "../../core/simulate/lines.ts";
import { RoundsCourse } from "../../core/simulate/rounds-course.ts";
import { Cohort } from "../../server/cohort.ts";
import { RoundsStrategy } from "../../server/strategy/rounds.ts";
import type { CommittedStep } from "../../server/strategy/strategy.ts";
import { roundsStrategy, tinyConfig } from "../fixtures/configs.ts";
import { fakeWorker, type FakeWorker } from "./fake-workers.ts";

beforeEach(() => void vi.useFakeTimers({ toFake: ["performance", "setTimeout", "setImmediate"] }));
afterEach(() => void vi.useRealTimers());

/** One worker a site, whose steps take as long as said. */
function course(secondsBySite: Record<string, number>, strategy: RoundsConfig, steps = 24) {
  const config = tinyConfig({ strategy, steps });
  const names = Object.keys(secondsBySite).map((site) => `${site}-1`);
  const plan = makePlan(config, new Map(names.map((name) => [name.split("-")[0]!, [name]])));
  const seen: CommittedStep[] = [];
  const leftOut: number[] = [];
  const deviations: object[] = [];
  const workers = new Map<string, FakeWorker>();
  const hashes = new Map<string, number>();
  for (const name of names) {
    const seconds = secondsBySite[name.split("-")[0]!]!;
    const worker = fakeWorker(
      name,
      (id, answer) => cohort.deliver(id, answer),
      (order, answer) => {
        if (answer.type === "merged") return { ...answer, anchors: { embed: hashes.get(name) ?? 1 } };
        if (order.type !== "step") return answer;
        setTimeout(() => cohort.deliver(name, answer), seconds * 1000);
        return null;
      },
    );
    workers.set(name, worker);
  }
  const cohort = new Cohort(
    1,
    [...workers.values()].map(({ port }) => port),
  );
  const rounds = new RoundsStrategy({
    config,
    plan,
    cohort,
    strategy,
    tokens: {},
    onStep: (step) => seen.push(step),
    onLeftOut: (left) => leftOut.push(left),
    onDeviation: (_step, deviation) => deviations.push(deviation),
  });
  const orders = (name: string, type: string) =>
    workers.get(name)!.orders.filter((order) => order.type === type);
  const advance = async (from: number, until: number, interrupted = () => false) => {
    const done = rounds.advance(from, until, interrupted);
    done.catch(() => {});
    await vi.advanceTimersByTimeAsync(1_000_000);
    await done;
  };
  return { rounds, cohort, seen, leftOut, deviations, hashes, orders, advance };
}

const stepsOf = (orders: readonly object[]) => orders.map((order) => (order as { step: number }).step);

test("sites commit on their own; exchanges begin and take effect when they are due", async () => {
  const { advance, orders, seen, leftOut } = course(
    { a: 1, b: 1 },
    roundsStrategy({ inner: 8, fragments: 2, overlap: 2 }),
  );
  await advance(0, 24);
  for (const worker of ["a-1", "b-1"]) {
    expect(stepsOf(orders(worker, "commit"))).toEqual(Array.from({ length: 24 }, (_, i) => i + 1));
    expect(orders(worker, "exchange")).toMatchObject([
      { step: 4, exchanges: [{ fragment: 0, tokens: 4 * 64 }], last: false },
      { step: 8, exchanges: [{ fragment: 1, tokens: 8 * 64 }] },
      { step: 12, exchanges: [{ fragment: 0, tokens: 8 * 64 }] },
      { step: 16, exchanges: [{ fragment: 1, tokens: 8 * 64 }] },
      { step: 20, exchanges: [{ fragment: 0, tokens: 8 * 64 }] },
      {
        step: 24,
        exchanges: [
          { fragment: 0, tokens: 4 * 64 },
          { fragment: 1, tokens: 8 * 64 },
        ],
        last: true,
      },
    ]);
    expect(stepsOf(orders(worker, "merge"))).toEqual([6, 10, 14, 18, 22, 24]);
  }
  expect(seen.map(({ step, tokens }) => [step, tokens])).toEqual(
    Array.from({ length: 24 }, (_, i) => [i + 1, 128]),
  );
  expect(leftOut).toEqual([]);
});

test("a slow site leaves steps out and does not hold the others; it weighs as much as it did", async () => {
  const { advance, orders, seen, leftOut } = course(
    { a: 1, b: 1, c: 4 },
    roundsStrategy({ inner: 8, fragments: 1 }),
  );
  const began = performance.now();
  let ended = 0;
  await advance(0, 24, () => {
    ended = performance.now();
    return false;
  });
  expect(orders("a-1", "commit")).toHaveLength(24);
  const done = orders("c-1", "commit").length;
  expect(done).toBeGreaterThanOrEqual(3);
  expect(done).toBeLessThan(24 / 2);
  expect(leftOut.reduce((sum, left) => sum + left)).toBe(24 - done);
  expect(seen).toHaveLength(24);
  expect(seen.reduce((sum, { tokens }) => sum + tokens, 0)).toBe(64 * (48 + done));
  // A site that waits for nobody needs 24 s, the slow one alone would need 96.
  expect((ended - began) / 1000).toBeLessThan(50);
  const weights = orders("c-1", "exchange").flatMap(
    (order) => (order as { exchanges: { tokens: number }[] }).exchanges,
  );
  expect(weights.reduce((sum, { tokens }) => sum + tokens, 0)).toBe(64 * done);
});

test("interrupted, all stop after the step that the farthest is at", async () => {
  let interrupted = false;
  const { advance, seen, orders } = course({ a: 1, b: 1.15 }, roundsStrategy({ inner: 24, fragments: 1 }));
  await advance(0, 24, () => interrupted || (interrupted = seen.length >= 5));
  const last = seen.at(-1)!.step;
  expect(last).toBeGreaterThanOrEqual(5);
  expect(last).toBeLessThan(12);
  for (const worker of ["a-1", "b-1"]) expect(stepsOf(orders(worker, "commit")).at(-1)).toBe(last);
});

test("a site whose values differ after an exchange is given the others'", async () => {
  const { advance, hashes, deviations, orders } = course(
    { a: 1, b: 1, c: 1 },
    roundsStrategy({ inner: 24, fragments: 1 }),
  );
  hashes.set("b-1", 2);
  await advance(0, 24);
  expect(deviations).toEqual([{ part: "embed", from: "a-1", to: "b-1" }]);
  expect(orders("a-1", "repair")).toEqual(orders("b-1", "repair"));
  expect(orders("b-1", "repair")).toMatchObject([{ part: "embed", from: "a-1", to: "b-1", step: 24 }]);
  expect(orders("c-1", "repair")).toEqual([]);
});

test("what ends one site's way ends all", async () => {
  const { advance, cohort } = course({ a: 1, b: 1 }, roundsStrategy({ inner: 24, fragments: 1 }));
  setTimeout(
    () => cohort.deliver("b-1", { type: "failed", generation: 1, message: "no power", fatal: false }),
    3500,
  );
  await expect(advance(0, 24)).rejects.toThrow(/no power/);
});

test("a simulated course commits, and leaves out, the same", async () => {
  for (const [a, b, c] of [
    [1, 1, 1],
    [1, 4, 1],
    [2, 3, 7],
    [1, 1.7, 30],
  ] as const) {
    for (const strategy of [
      roundsStrategy({ inner: 8, fragments: 2, overlap: 2 }),
      roundsStrategy({ inner: 6, fragments: 1, overlap: 0 }),
    ]) {
      const seconds = { a, b, c };
      const { advance, seen, leftOut } = course(seconds, strategy);
      await advance(0, 24);
      const clock = new Clock();
      const steps: [step: number, tokens: number][] = [];
      let simulatedLeftOut = 0;
      const config = tinyConfig({ strategy, steps: 24 });
      const simulated = new RoundsCourse(
        {
          config,
          clock,
          ledger: new Ledger(clock),
          lines: new Lines({ seed: 1, wideLinks: new Map(), variations: new Map() }),
          exchanged: Array.from({ length: strategy.fragments }, () => 1),
          sites: Object.entries(seconds).map(([site, each]) => ({
            site,
            seconds: each,
            tokens: 64,
            share: 1 / 3,
          })),
          onStep: (step, tokens) => steps.push([step, tokens]),
          onLeftOut: (count) => (simulatedLeftOut += count),
          onExchange: () => {},
          interrupted: () => false,
        },
        strategy,
      );
      let arrived = false;
      simulated.advance(0, 24, () => (arrived = true));
      clock.run(1e6, () => {});
      expect(arrived).toBe(true);
      expect(steps).toEqual(seen.map(({ step, tokens }) => [step, tokens]));
      expect(simulatedLeftOut).toBe(leftOut.reduce((sum, count) => sum + count, 0));
    }
  }
});
