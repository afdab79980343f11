// Hours of a run, simulated: against the prediction where nothing happens, and what holds whatever happens.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { RunConfig } from "../../core/model/config.ts";
import { parameterSpace } from "../../core/model/parameters.ts";
import { Cluster } from "../../core/plan/cluster.ts";
import { loadOf } from "../../core/plan/cost.ts";
import { PlanImpossible } from "../../core/plan/plan-impossible.ts";
import { exchangeAt } from "../../core/plan/rounds.ts";
import { exchangeBytes } from "../../core/plan/traffic.ts";
import { boundsOf, describeSimulation } from "../../core/simulate/describe.ts";
import { hoursSvg, hoursText } from "../../core/simulate/draw-hours.ts";
import { simulate, type Simulation } from "../../core/simulate/simulate.ts";
import { roundsStrategy, tinyConfig } from "../fixtures/configs.ts";

/** Never done, and never saved but where a test says so. */
const NEVER = 1e9;
const endless = (changes: Partial<RunConfig> = {}): RunConfig =>
  tinyConfig({ steps: NEVER, checkpointEvery: NEVER, validEvery: NEVER, sampleEvery: NEVER, ...changes });

/** GFLOP/s at which a step of the tiny model takes a few workers minutes. */
const SLOW = 2e-4;

const anyStrategy: fc.Arbitrary<RunConfig["strategy"]> = fc.constantFrom(
  { kind: "sync" as const, gradients: "f32" as const },
  { kind: "sync" as const, gradients: "topk" as const },
  roundsStrategy({ inner: 6, fragments: 2, overlap: 2 }),
  roundsStrategy({ inner: 5, fragments: 1, overlap: 0 }),
  roundsStrategy({ inner: 6, fragments: 3, overlap: 1, bits: 2, merge: 0 }),
  roundsStrategy({ inner: 6, fragments: 1, overlap: 2, bits: 1, merge: 0 }),
);

interface Kind {
  readonly count: number;
  readonly gflops: number;
  readonly stays?: number;
  readonly away?: number;
}

const anyKind = (hours: fc.Arbitrary<object>): fc.Arbitrary<Kind> =>
  fc
    .record({ count: fc.integer({ min: 1, max: 3 }), gflops: fc.constantFrom(SLOW, 2 * SLOW, 4 * SLOW) })
    .chain((kind) => hours.map((habit) => ({ ...kind, ...habit })));

const anyCluster = (hours: fc.Arbitrary<object>, varies: fc.Arbitrary<object>): fc.Arbitrary<Cluster> => {
  const site = fc.record({
    workers: fc.array(anyKind(hours), { minLength: 1, maxLength: 2 }),
    wide: fc
      .record({ mbit: fc.constantFrom(0.001, 0.01, 1), ms: fc.constantFrom(1, 100) })
      .chain((line) => varies.map((variation) => ({ ...line, ...variation }))),
  });
  return fc
    .array(site, { minLength: 1, maxLength: 3 })
    .map((sites) => Cluster.parse({ sites: sites.map((one, i) => ({ name: `s${i}`, ...one })) }));
};

const still = anyCluster(fc.constant({}), fc.constant({}));
const lively = anyCluster(
  fc.constantFrom({}, { stays: 1, away: 1 }, { stays: 4, away: 0.2 }, { stays: 0.3, away: 0.3 }),
  fc.constantFrom({}, { varies: { spread: 1, minutes: 7 } }),
);

const sum = (values: Iterable<number>) => [...values].reduce((total, value) => total + value, 0);

describe("where nobody leaves and lines are constant", () => {
  test("a run is as fast as predicted, its exchanges send what they need, and all is trained on", () => {
    let [held, leftOut] = [0, 0];
    fc.assert(
      fc.property(still, anyStrategy, (cluster, strategy) => {
        const config = endless({ strategy });
        const result = simulate(cluster, config, { hours: 24, seed: 1 });
        const { stepSeconds } = result.prediction!;
        const predicted = result.seconds / stepSeconds;
        if (result.stepsLeftOut > 0) {
          // Slower sites do fewer steps than the prediction, which knows no leaving out, reckons with.
          leftOut++;
          expect(result.steps).toBeGreaterThanOrEqual(Math.floor(predicted));
          return;
        }
        // In `rounds` a step with an exchange takes longer than the mean.
        const most = strategy.kind === "sync" ? 1 : strategy.inner + 1;
        expect(Math.abs(result.steps - predicted)).toBeLessThanOrEqual(most + 1e-6 * predicted);
        expect(result.tokens).toBe(result.steps * config.batch * config.model.context);
        if (result.prediction!.parts.exchange > 0) held++;
        expect(result.time.saving + result.time.moving + result.time.redone).toBe(0);
        expect(result.plans).toEqual({ full: 1, mended: 0 });

        // Shares of a sum add up to 1: all sites together send the same however they share it.
        const sites = Object.keys(result.wideBytes).length;
        const { exchanged } = loadOf(config);
        const bytesOf = (values: number) =>
          sum(
            exchangeBytes(
              strategy,
              values,
              Array.from({ length: sites }, () => 1 / sites),
              false,
            ),
          );
        const sent = (steps: number) =>
          strategy.kind === "sync"
            ? steps * bytesOf(exchanged[0]!)
            : sum(
                Array.from({ length: steps }, (_, i) =>
                  sum(exchangeAt(strategy, i + 1, NEVER).fragments.map((f) => bytesOf(exchanged[f]!))),
                ),
              );
        if (sites === 0) return;
        const total = sum(Object.values(result.wideBytes));
        // The last one may be under way.
        expect(total).toBeLessThanOrEqual(sent(result.steps) * (1 + 1e-9));
        const under = strategy.kind === "sync" ? 0 : Math.max(...exchanged.map(bytesOf));
        expect(total).toBeGreaterThanOrEqual((sent(result.steps) - under) * (1 - 1e-9));
      }),
      { numRuns: 100, seed: 1 },
    );
    // The cases that matter came up.
    expect(held).toBeGreaterThan(0);
    expect(leftOut).toBeGreaterThan(0);
  });

  test("a run ends with its last step", () => {
    const cluster = Cluster.parse({ sites: [{ name: "a", workers: [{ gflops: SLOW }] }] });
    const config = tinyConfig({ steps: 7, checkpointEvery: 3 });
    const result = simulate(cluster, config, { hours: 1000, seed: 1 });
    expect(result).toMatchObject({ done: true, steps: 7, checkpoints: 3, tokens: 7 * 8 * 16 });
    expect(result.seconds / result.prediction!.stepSeconds).toBeCloseTo(7, 9);
  });

  test("a line that varies by nothing is constant", () => {
    fc.assert(
      fc.property(still, anyStrategy, (cluster, strategy) => {
        const varied: Cluster = {
          sites: cluster.sites.map((site) => ({
            ...site,
            wide: { ...site.wide!, varies: { spread: 0, minutes: 3 } },
          })),
        };
        const config = endless({ strategy });
        const [constant, other] = [cluster, varied].map((some) =>
          simulate(some, config, { hours: 3, seed: 1 }),
        );
        expect(Math.abs(constant!.steps - other!.steps)).toBeLessThanOrEqual(1);
        expect(other!.time.computing).toBeCloseTo(constant!.time.computing, 6);
      }),
      { numRuns: 20 },
    );
  });
});

describe("whatever happens", () => {
  const anyRun = fc.record({
    cluster: lively,
    strategy: anyStrategy,
    checkpointEvery: fc.constantFrom(1, 2, 7, NEVER),
    seed: fc.integer({ min: 0, max: 1000 }),
  });

  test("time and tokens are accounted for, each step's tokens once; the same seed gives the same again", () => {
    let [lost, redone, mended] = [0, 0, 0];
    fc.assert(
      fc.property(anyRun, ({ cluster, strategy, checkpointEvery, seed }) => {
        const config = endless({ strategy, checkpointEvery });
        const options = { hours: 4, seed };
        const result = simulate(cluster, config, options);
        expect(simulate(cluster, config, options)).toEqual(result);
        expect(sum(Object.values(result.time))).toBeCloseTo(1, 9);
        for (const share of Object.values(result.time)) expect(share).toBeGreaterThanOrEqual(0);
        const ofStep = config.batch * config.model.context;
        const ofSteps = result.steps * ofStep;
        // A loss may find sites at different steps of a round: some have done a step by one plan, the rest by another.
        const uneven = strategy.kind === "rounds" ? result.lost * strategy.inner * ofStep : 0;
        expect(result.tokens).toBeLessThanOrEqual(ofSteps + uneven);
        if (result.stepsLeftOut === 0) expect(result.tokens).toBeGreaterThanOrEqual(ofSteps - uneven);
        expect(sum(result.hours.map(({ tokens }) => tokens))).toBe(result.tokens);
        expect(sum(result.hours.map(({ seconds }) => seconds))).toBeCloseTo(result.seconds, 6);
        expect(result.lost).toBeLessThanOrEqual(result.departures);
        if (result.lost === 0) expect(result.time.redone).toBe(0);
        if (result.stepsRedone > 0) expect(result.time.redone).toBeGreaterThan(0);
        expect(result.workersThere).toBeGreaterThanOrEqual(0);
        expect(result.workersThere).toBeLessThanOrEqual(result.workers);
        lost += result.lost;
        redone += result.stepsRedone;
        mended += result.plans.mended;
      }),
      { numRuns: 30, seed: 1 },
    );
    for (const count of [lost, redone, mended]) expect(count).toBeGreaterThan(0);
  });

  test("where nobody leaves and sites exchange nothing, checkpoints cost no step", () => {
    fc.assert(
      fc.property(still, anyStrategy, fc.constantFrom(1, 2, 7), (cluster, strategy, checkpointEvery) => {
        const alone = { ...cluster, sites: cluster.sites.slice(0, 1) };
        const [with_, without] = [checkpointEvery, NEVER].map((every) =>
          simulate(alone, endless({ strategy, checkpointEvery: every }), { hours: 3, seed: 1 }),
        );
        expect(with_!.steps).toBe(without!.steps);
        expect(with_!.time.saving).toBe(0);
      }),
      { numRuns: 10 },
    );
  });

  test("a run that saves after every step, over lines that take no time, does at most one again for each worker lost", () => {
    let lost = 0;
    fc.assert(
      fc.property(lively, fc.integer({ min: 0, max: 99 }), (cluster, seed) => {
        const config = endless({ checkpointEvery: 1 });
        const sites = cluster.sites.map((site) => ({ ...site, wide: undefined }));
        const result = simulate({ ...cluster, sites }, config, { hours: 4, seed });
        lost += result.lost;
        // One that was committed, but not yet saved.
        expect(result.stepsRedone).toBeLessThanOrEqual(result.lost);
      }),
      { numRuns: 25, seed: 1 },
    );
    expect(lost).toBeGreaterThan(0);
  });
});

describe("where one that is always there holds the whole model", () => {
  /** None is faster: it has a place in every plan. */
  const ANCHOR = { gflops: 4 * SLOW };
  const wide = { mbit: 100, ms: 1 };
  const others = fc.array(
    fc.record({
      count: fc.integer({ min: 1, max: 2 }),
      gflops: fc.constantFrom(2 * SLOW, 4 * SLOW),
      stays: fc.constantFrom(0.3, 1),
      away: fc.constantFrom(0.1, 0.5),
    }),
    { minLength: 1, maxLength: 2 },
  );
  const inOneSite = (workers: readonly object[]) => [{ name: "a", workers: [ANCHOR, ...workers] }];
  const inTwo = (workers: readonly object[]) => [
    { name: "a", workers: [ANCHOR], wide },
    { name: "b", workers, wide },
  ];
  const anyRun = fc.record({
    sites: fc.oneof(others.map(inOneSite), others.map(inTwo)),
    seed: fc.integer({ min: 0, max: 999 }),
  });
  const PASSING = [{ count: 2, gflops: 4 * SLOW, stays: 0.3, away: 0.3 }];
  const unsaved = (sites: readonly object[], config: RunConfig, seed: number) =>
    simulate(Cluster.parse({ sites }), config, { hours: 4, seed });

  test("in strategy sync, no checkpoint saved, a loss costs at most the step under way", () => {
    const config = endless({ stages: 1 });
    const alone = unsaved([{ name: "a", workers: [ANCHOR] }], config, 1);
    let [lost, redone] = [0, 0];
    fc.assert(
      fc.property(anyRun, ({ sites, seed }) => {
        const result = unsaved(sites, config, seed);
        expect(result).toMatchObject({ checkpoints: 0, stepsRedone: 0, serverBytes: {} });
        // No plan's step takes longer than one by the fastest alone.
        const most = result.lost * alone.prediction!.stepSeconds;
        expect(result.time.redone * result.seconds).toBeLessThanOrEqual(most * (1 + 1e-9));
        lost += result.lost;
        redone += result.time.redone;
      }),
      { numRuns: 12, seed: 1 },
    );
    expect(lost).toBeGreaterThan(0);
    expect(redone).toBeGreaterThan(0);
  });

  test("in strategy rounds it goes on from what it holds itself, whoever leaves", () => {
    let lost = 0;
    const inTwoSites = fc.record({ sites: others.map(inTwo), seed: fc.integer({ min: 0, max: 999 }) });
    const strategies = fc.constantFrom(
      roundsStrategy(),
      roundsStrategy({ inner: 8, overlap: 2 }),
      roundsStrategy({ inner: 20, fragments: 1, bits: 2, merge: 0 }),
    );
    fc.assert(
      fc.property(inTwoSites, strategies, ({ sites, seed }, strategy) => {
        const result = unsaved(sites, endless({ stages: 1, strategy }), seed);
        expect(result).toMatchObject({ checkpoints: 0, stepsRedone: 0, serverBytes: {} });
        lost += result.lost;
      }),
      { numRuns: 12, seed: 1 },
    );
    expect(lost).toBeGreaterThan(0);
  });

  test("in strategy rounds a site that keeps one of its replicas takes nothing from another", () => {
    let lost = 0;
    const strategy = roundsStrategy({ inner: 8, overlap: 2 });
    fc.assert(
      fc.property(others, fc.integer({ min: 0, max: 999 }), (workers, seed) => {
        // Those who pass come first: they lead.
        const result = unsaved(inTwo([...workers, ANCHOR]), endless({ stages: 1, strategy }), seed);
        expect(result.movedBytes).toEqual({});
        lost += result.lost;
      }),
      { numRuns: 12, seed: 1 },
    );
    expect(lost).toBeGreaterThan(0);
  });

  test("with error feedback in every step, a loss sends all back to the beginning", () => {
    const strategy = { kind: "sync", gradients: "int4" } as const;
    const result = unsaved(inTwo(PASSING), endless({ stages: 1, strategy }), 1);
    expect(result.lost).toBeGreaterThan(0);
    expect(result.checkpoints).toBe(0);
    expect(result.stepsRedone).toBeGreaterThan(0);
  });

  test("newcomers take their state from it, over the sites' lines only where it is in another site", () => {
    const config = endless({ stages: 1 });
    const [near, far] = [inOneSite(PASSING), inTwo(PASSING)].map((sites) => unsaved(sites, config, 1));
    for (const { plans, checkpoints } of [near!, far!]) {
      expect(plans.full).toBeGreaterThan(1);
      expect(checkpoints).toBe(0);
    }
    expect(near!.movedBytes).toEqual({});
    // All that a newcomer has: parameters and two moments.
    const state = 3 * 4 * parameterSpace(config.model).size;
    expect(far!.movedBytes.a! / state).toBeGreaterThan(0);
    expect((far!.movedBytes.a! / state) % 1).toBe(0);
    expect(far!.movedBytes.b).toBeUndefined();
  });
});

describe("what is lost", () => {
  const site = (workers: readonly object[], mbit = 1, name = "a") => ({
    name,
    workers,
    wide: { mbit, ms: 1 },
  });
  const hoursOf = (sites: readonly object[], config: RunConfig, hours = 48, seed = 3): Simulation =>
    simulate(Cluster.parse({ sites }), config, { hours, seed });

  test("more by those who stay for less time", () => {
    const shares = [100, 10, 1].map((stays) => {
      const { time, lost } = hoursOf(
        [site([{ count: 4, gflops: SLOW, stays, away: 0.1 }])],
        endless({ checkpointEvery: 20 }),
      );
      return { lost, useful: time.computing };
    });
    expect(shares[0]!.lost).toBeLessThan(shares[1]!.lost);
    expect(shares[1]!.lost).toBeLessThan(shares[2]!.lost);
    expect(shares[0]!.useful).toBeGreaterThan(shares[1]!.useful);
    expect(shares[1]!.useful).toBeGreaterThan(shares[2]!.useful);
  });

  test("time goes into states where lines are slow", () => {
    const kind = { count: 4, gflops: SLOW, stays: 0.5, away: 0.1 };
    const config = endless({ checkpointEvery: 1, strategy: roundsStrategy() });
    const [fast, slow] = [100, 0.005].map((mbit) =>
      hoursOf([site([kind], mbit), site([kind], mbit, "b")], config),
    ) as [Simulation, Simulation];
    const states = ({ time }: Simulation) => time.moving + time.saving;
    expect(states(fast)).toBeLessThan(0.01);
    expect(states(slow)).toBeGreaterThan(0.5);
    // No more than a line carries in that time, whatever was begun and given up.
    expect(slow.movedBytes["a"]).toBeLessThan(((0.005 * 1e6) / 8) * 48 * 3600);
    expect(boundsOf(slow)[0]).toMatch(/states|checkpoints/);
  });

  test("a run that nobody there can hold waits; one that all together cannot is an error", () => {
    const kind = { gflops: SLOW, memory: "1.8 MB", stays: 1, away: 1 };
    const config = endless();
    const pair = hoursOf([site([{ ...kind, count: 2 }])], config, 200);
    expect(pair.time.waiting).toBeGreaterThan(0.5);
    expect(pair.time.waiting).toBeLessThan(1);
    expect(() => hoursOf([site([kind])], config)).toThrow(PlanImpossible);
    expect(() => hoursOf([{ name: "a", workers: 2 }], config)).toThrow(/no worker's speed is known/);
  });
});

test("in words and drawn: a bar an hour, and names that are safe", () => {
  const cluster = Cluster.parse({
    sites: ["a", "b"].map((name) => ({
      name,
      workers: [{ count: 2, gflops: SLOW, stays: 3, away: 1 }],
      wide: { mbit: 0.01, ms: 1 },
    })),
  });
  const result = simulate(cluster, endless({ checkpointEvery: 5 }), { hours: 12, seed: 1 });
  const words = describeSimulation(result);
  expect(words[0]).toMatch(/^12 h 0 min: [\d,]+ steps, [\d,]+ tokens, [\d,]+ tokens\/s$/);
  expect(words.filter((line) => /^ {2}\d+\.\d % /.test(line)).length).toBeGreaterThanOrEqual(4);
  const bars = hoursText(result);
  expect(bars).toHaveLength(12);
  const lengths = bars.map((bar) => bar.split("#").length - 1);
  result.hours.forEach(({ tokens }, i) => {
    const most = Math.max(...result.hours.map((hour) => hour.tokens));
    expect(lengths[i]).toBe(Math.round((60 * tokens) / most));
  });
  const svg = hoursSvg(result, "a<b");
  expect(svg.match(/<rect x=/g)).toHaveLength(12);
  expect(svg).toContain("a&lt;b");
  expect(svg).not.toContain("NaN");
});
