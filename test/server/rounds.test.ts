// The course of strategy `rounds`, with made-up workers.
import fc from "fast-check";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { RoundsConfig } from "../../core/model/config.ts";
import { makePlan } from "../../core/plan/partition.ts";
import { evenProgress } from "../../core/plan/progress.ts";
import { Clock } from "../../core/simulate/clock.ts";
import { Ledger } from "../../core/simulate/ledger.ts";
import { Lines } from "../../core/simulate/lines.ts";
import { RoundsCourse } from "../../core/simulate/rounds-course.ts";
import type { WorkerMessage } from "../../core/protocol/control.ts";
import { Cohort } from "../../server/cohort.ts";
import { RoundsStrategy } from "../../server/strategy/rounds.ts";
import type { CommittedStep } from "../../server/strategy/strategy.ts";
import { roundsStrategy, tinyConfig } from "../fixtures/configs.ts";
import { fakeWorker, type FakeWorker } from "./fake-workers.ts";

beforeEach(() => void vi.useFakeTimers({ toFake: ["performance", "setTimeout", "setImmediate"] }));
afterEach(() => void vi.useRealTimers());

/** One worker a site, whose steps take as long as said. An exchange ends once all sites have begun it. */
function course(
  secondsBySite: Record<string, number | (() => number)>,
  strategy: RoundsConfig,
  { steps = 24, mergeSeconds = (): number => 0 } = {},
) {
  const config = tinyConfig({ strategy, steps });
  const names = Object.keys(secondsBySite).map((site) => `${site}-1`);
  const plan = makePlan(config, new Map(names.map((name) => [name.split("-")[0]!, [name]])));
  const seen: CommittedStep[] = [];
  const leftOut: number[] = [];
  const deviations: object[] = [];
  const workers = new Map<string, FakeWorker>();
  const hashes = new Map<string, number>();
  let waiting: { isOver: () => boolean; answer: () => void }[] = [];
  const answerMerges = () => {
    const over = waiting.filter(({ isOver }) => isOver());
    waiting = waiting.filter((one) => !over.includes(one));
    for (const { answer } of over) answer();
  };
  const begins = (worker: string, fragment: number): number =>
    workers
      .get(worker)!
      .orders.filter(
        (order) => order.type === "exchange" && order.exchanges.some((one) => one.fragment === fragment),
      ).length;
  for (const name of names) {
    const each = secondsBySite[name.split("-")[0]!]!;
    const stepSeconds = typeof each === "number" ? () => each : each;
    const worker = fakeWorker(
      name,
      (id, answer) => cohort.deliver(id, answer),
      (order, answer) => {
        const answerIn = (seconds: number, late = answer) =>
          void setTimeout(() => cohort.deliver(name, late), seconds * 1000);
        if (order.type === "merge" && answer.type === "merged") {
          const own = order.fragments.map((fragment) => [fragment, begins(name, fragment)] as const);
          waiting.push({
            isOver: () =>
              own.every(([fragment, begun]) => names.every((other) => begins(other, fragment) >= begun)),
            answer: () => answerIn(mergeSeconds(), { ...answer, anchors: { embed: hashes.get(name) ?? 1 } }),
          });
        } else answerIn(order.type === "step" ? stepSeconds() : 0);
        return null;
      },
    );
    workers.set(name, worker);
  }
  const withMerges = ({ port }: FakeWorker) => ({
    ...port,
    send(order: WorkerMessage) {
      port.send(order);
      if (order.type === "exchange" || order.type === "merge") answerMerges();
    },
  });
  const cohort = new Cohort(1, [...workers.values()].map(withMerges));
  const rounds = new RoundsStrategy({
    config,
    plan,
    cohort,
    strategy,
    progress: evenProgress(
      strategy,
      names.map((name) => name.split("-")[0]!),
      0,
    ),
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
    await Promise.race([done, Promise.reject(new Error("sites wait for ever"))]);
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
    expect(stepsOf(orders(worker, "merge"))).toEqual([4, 8, 12, 16, 20, 24]);
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

test("however fast sites are and whenever they are interrupted, all do or leave out the same steps", async () => {
  const seconds = fc.double({ min: 0.1, max: 8, noNaN: true, noDefaultInfinity: true });
  const early = roundsStrategy({ inner: 8, fragments: 2, overlap: 2 });
  const anyStrategy = fc.constantFrom(
    early,
    roundsStrategy({ inner: 6, fragments: 2, overlap: 0 }),
    roundsStrategy({ inner: 12, fragments: 1, overlap: 4 }),
  );
  await fc.assert(
    fc.asyncProperty(
      anyStrategy,
      // Of each site in turn, for each of its steps in turn; merges likewise.
      fc.array(fc.array(seconds, { minLength: 1, maxLength: 3 }), { minLength: 2, maxLength: 4 }),
      fc.array(seconds, { minLength: 1, maxLength: 4 }),
      // From when on, and for how long; then the run goes on from where all are.
      fc.array(fc.record({ after: fc.integer({ min: 0, max: 60 }), lasts: seconds }), {
        minLength: 1,
        maxLength: 8,
      }),
      fc.constantFrom(5, 30),
      async (strategy, bySite, merges, breaks, every) => {
        const cycle = (values: readonly number[]) => {
          let next = 0;
          return () => values[next++ % values.length]!;
        };
        const names = bySite.map((_, i) => "abcd"[i]!);
        const sites = Object.fromEntries(names.map((name, i) => [name, cycle(bySite[i]!)]));
        const steps = 30;
        const { advance, orders, seen, leftOut, rounds } = course(sites, strategy, {
          steps,
          mergeSeconds: cycle(merges),
        });
        const workers = names.map((name) => `${name}-1`);
        const pending = breaks.values();
        for (let at = 0; at < steps;) {
          const until = Math.min(steps, (Math.floor(at / every) + 1) * every);
          const { value } = pending.next();
          const began = performance.now() / 1000;
          const isOff = () => {
            const passed = performance.now() / 1000 - began;
            return value !== undefined && passed >= value.after && passed < value.after + value.lasts;
          };
          await advance(at, until, isOff);
          const now = seen.at(-1)?.step ?? 0;
          expect(now).toBeLessThanOrEqual(until);
          if (value === undefined) expect(now).toBe(until);
          at = now;
          // All have come to the same place: each exchange up to it was begun by all, at the same step.
          const begun = workers.map((worker) => stepsOf(orders(worker, "exchange")));
          for (const ofSite of begun) expect(ofSite).toEqual(begun[0]);
          expect(begun[0]!.every((step) => step <= at)).toBe(true);
          const done = workers.map((worker) => stepsOf(orders(worker, "commit")).length);
          expect(leftOut.reduce((sum, left) => sum + left, 0)).toBe(
            at * names.length - done.reduce((sum, count) => sum + count),
          );
        }
        expect(seen.map(({ step }) => step)).toEqual(Array.from({ length: steps }, (_, i) => i + 1));
        const trained = workers.map((worker) => 64 * orders(worker, "commit").length);
        expect(seen.reduce((sum, { tokens }) => sum + tokens, 0)).toBe(trained.reduce((a, b) => a + b));
        // Each exchange weighs a site by what it has trained since the fragment's last.
        for (const [i, worker] of workers.entries()) {
          const weights = orders(worker, "exchange").flatMap((order) =>
            order.type === "exchange" ? order.exchanges : [],
          );
          for (let fragment = 0; fragment < strategy.fragments; fragment++) {
            const ofFragment = weights.filter((one) => one.fragment === fragment);
            expect(ofFragment.reduce((sum, { tokens }) => sum + tokens, 0)).toBe(trained[i]);
          }
        }
        expect(Object.values(rounds.tokens).flat()).toEqual(
          names.flatMap(() => Array.from({ length: strategy.fragments }, () => 0)),
        );
      },
    ),
    // In the example, a site that leaves steps out waits for a merge when the run is interrupted.
    { numRuns: 60, examples: [[early, [[0.1], [0.361]], [0.8], [{ after: 5, lasts: 0.1 }], 30]] },
  );
}, 60_000);

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
  expect(orders("b-1", "renew")).toMatchObject([{ part: "embed", step: 24 }]);
  for (const other of ["a-1", "c-1"]) expect(orders(other, "renew")).toEqual([]);
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
        evenProgress(strategy, Object.keys(seconds), 0),
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
