import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { RoundsConfig } from "../../core/model/config.ts";
import { parameterSpace, type Segment } from "../../core/model/parameters.ts";
import { makePlan } from "../../core/plan/partition.ts";
import { Random } from "../../core/random.ts";
import { UnsaidGradients } from "../../core/reduce/error-feedback.ts";
import { holdingsOf, wideSitesOf } from "../../core/reduce/holdings.ts";
import { OuterState } from "../../core/reduce/outer.ts";
import { roundsStrategy, tinyConfig } from "../fixtures/configs.ts";
import { memoryNetwork } from "../fixtures/memory-network.ts";

const config = tinyConfig({ batch: 32 });
const space = parameterSpace(config.model);

/** One site a number: its workers. Each has a model of its own that differs from the anchor by noise. */
class Sites {
  readonly plan;
  readonly holdings;
  readonly outer: Map<string, OuterState>;
  readonly #strategy: RoundsConfig;
  readonly #random: Random;
  /** Anchors before the latest exchange. */
  readonly #began = new Map<string, Float32Array>();

  constructor(workers: number[], strategy: RoundsConfig, seed = 1) {
    const sites = workers.map(
      (n, s) => [`s${s}`, Array.from({ length: n }, (_, i) => `s${s}-${i}`)] as const,
    );
    this.plan = makePlan(config, new Map(sites));
    this.holdings = this.plan.replicas.map((replica) => holdingsOf(config.model, replica));
    this.outer = new Map(
      this.holdings
        .flat()
        .map(({ worker, segment }) => [worker, new OuterState(segment, new UnsaidGradients(segment))]),
    );
    this.#strategy = strategy;
    this.#random = new Random(seed);
  }

  /** The anchor as each site's workers together have it. */
  anchors(): Float32Array[] {
    return this.holdings.map((holdings) => {
      const whole = new Float32Array(space.size);
      for (const { worker, segment } of holdings) whole.set(this.outer.get(worker)!.anchor, segment.start);
      return whole;
    });
  }

  /** `pseudo`: each site's pseudo-gradient, [space.size]. */
  async exchange(pseudo: Float32Array[], tokens = pseudo.map(() => 1), last = false): Promise<void> {
    const { transport } = memoryNetwork(this.plan);
    for (const [worker, { anchor }] of this.outer) this.#began.set(worker, anchor.slice());
    const outcomes = await Promise.all(
      this.holdings.flatMap((holdings, s) =>
        holdings.map(async ({ worker, segment }) => {
          const outer = this.outer.get(worker)!;
          const local = outer.anchor.map((value, i) => value - pseudo[s]![segment.start + i]!);
          const options = { strategy: this.#strategy, sites: wideSitesOf(config.model, this.plan), worker };
          const contribution = { segment, local, tokens: tokens[s]!, last };
          return { outer, ...(await outer.exchange(contribution, options, transport(worker))) };
        }),
      ),
    );
    for (const { outer, outcome, unsaid } of outcomes) outer.step(outcome, this.#strategy, unsaid);
  }

  /** Each site's values after an exchange that it came to with `pseudo` has taken effect, [space.size]. */
  locals(pseudo: Float32Array[]): Float32Array[] {
    return this.holdings.map((holdings, s) => {
      const whole = new Float32Array(space.size);
      for (const { worker, segment } of holdings) {
        const outer = this.outer.get(worker)!;
        const local = this.#began.get(worker)!.map((value, i) => value - pseudo[s]![segment.start + i]!);
        outer.merge(segment, local, "unsaid");
        whole.set(local, segment.start);
      }
      return whole;
    });
  }

  noise(): Float32Array[] {
    return this.holdings.map(() =>
      Float32Array.from({ length: space.size }, () => this.#random.unit() - 0.5),
    );
  }
}

describe("an outer step", () => {
  test("leaves every site with the same bits, however sites cut the model and whatever travels", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 1, max: 3 }), { minLength: 1, maxLength: 4 }),
        fc.constantFrom(...([2, 4, 8, 16, 32] as const)),
        fc.nat(),
        async (workers, bits, seed) => {
          const sites = new Sites(workers, roundsStrategy({ bits }), seed);
          for (let round = 0; round < 3; round++) await sites.exchange(sites.noise(), workers);
          const [first, ...others] = sites.anchors();
          expect(first!.some((value) => value !== 0)).toBe(true);
          for (const other of others) expect(other).toEqual(first);
        },
      ),
      { numRuns: 15 },
    );
  });

  test("is Nesterov's, on the mean weighted by tokens", async () => {
    const sites = new Sites([1, 2], roundsStrategy({ bits: 32, outerLr: 0.7, outerMomentum: 0.9 }));
    const [anchor, momentum] = [new Float64Array(space.size), new Float64Array(space.size)];
    for (let round = 0; round < 3; round++) {
      const [a, b] = sites.noise();
      await sites.exchange([a!, b!], [300, 100]);
      for (let i = 0; i < anchor.length; i++) {
        const mean = 0.75 * a![i]! + 0.25 * b![i]!;
        momentum[i] = 0.9 * momentum[i]! + mean;
        anchor[i] = anchor[i]! - 0.7 * (mean + 0.9 * momentum[i]!);
      }
    }
    for (const reached of sites.anchors()) {
      const off = reached.reduce((most, value, i) => Math.max(most, Math.abs(value - anchor[i]!)), 0);
      expect(off).toBeLessThan(2e-6);
    }
  });

  test("with rate 1 and no momentum, as after the last step, it is the mean", async () => {
    for (const [strategy, last] of [
      [roundsStrategy({ bits: 32, outerLr: 1, outerMomentum: 0 }), false],
      [roundsStrategy({ bits: 32 }), true],
    ] as const) {
      const sites = new Sites([1, 1], strategy);
      const [a, b] = sites.noise();
      await sites.exchange([a!, b!], [1, 1], last);
      for (const reached of sites.anchors())
        reached.forEach((value, i) => expect(Math.abs(value + (a![i]! + b![i]!) / 2)).toBeLessThan(1e-6));
    }
  });

  test("what encoding leaves unsaid is said in later rounds", async () => {
    const sites = new Sites([1, 1], roundsStrategy({ bits: 8, outerLr: 1, outerMomentum: 0 }));
    const [a, b] = sites.noise();
    // One large value makes the scale so coarse that most others are nothing in any one round.
    for (const values of [a!, b!]) for (let i = 0; i < values.length; i += 4096) values[i] = 200;
    const rounds = 30;
    for (let round = 0; round < rounds; round++) await sites.exchange([a!, b!]);
    const reached = sites.anchors()[0]!;
    reached.forEach((value, i) => {
      const wanted = (-rounds * (a![i]! + b![i]!)) / 2;
      expect(Math.abs(value - wanted)).toBeLessThan(2 * (200 / 127));
    });
  });

  test("that is not finite moves nothing", async () => {
    const sites = new Sites([1, 1], roundsStrategy({ bits: 8 }));
    const [a, b] = sites.noise();
    a![7] = NaN;
    await expect(sites.exchange([a!, b!])).rejects.toThrow(/not finite: lower/);
    expect(sites.anchors()[0]!.every((value) => value === 0)).toBe(true);
  });
});

describe.each([
  // Of each site 1 in 64, of small tensors a little more; of signs all.
  { what: "only the largest are", bits: 2, moves: [1 / 64, 1 / 16] },
  { what: "only signs are", bits: 1, moves: [0.9, 1] },
] as const)("where $what sent", ({ bits, moves }) => {
  const strategy = roundsStrategy({ bits, outerLr: 1, outerMomentum: 0, merge: 0 });

  test("what is not said stays with the site: the mean of the sites' values is what it was", async () => {
    const sites = new Sites([1, 2], strategy);
    const [a, b] = sites.noise();
    await sites.exchange([a!, b!], [1, 3]);
    const merged = sites.locals([a!, b!]);
    const anchors = sites.anchors();
    expect(anchors[1]).toEqual(anchors[0]);
    let moved = 0;
    for (let i = 0; i < space.size; i++) {
      const before = -(a![i]! + 3 * b![i]!) / 4;
      const after = (merged[0]![i]! + 3 * merged[1]![i]!) / 4;
      expect(Math.abs(after - before)).toBeLessThan(1e-6);
      if (Math.abs(merged[0]![i]! + a![i]!) > 1e-6) moved++;
    }
    expect(moved / space.size).toBeGreaterThan(moves[0]);
    expect(moved / space.size).toBeLessThanOrEqual(moves[1]);
  });

  test("again and again, sites come to the same values", async () => {
    const sites = new Sites([1, 1], strategy);
    let pseudo = sites.noise();
    const apart = () =>
      pseudo[0]!.reduce((most, value, i) => Math.max(most, Math.abs(value - pseudo[1]![i]!)), 0);
    const before = apart();
    for (let round = 0; round < 300; round++) {
      await sites.exchange(pseudo);
      const merged = sites.locals(pseudo);
      const anchors = sites.anchors();
      pseudo = merged.map((local, s) => local.map((value, i) => anchors[s]![i]! - value));
    }
    expect(apart()).toBeLessThan(before / 4);
  });
});

test("merging keeps a share of the site's own values", () => {
  const segment: Segment = { start: 64, end: 66 };
  const outer = new OuterState(segment, null);
  outer.anchor.set([1, 2]);
  const local = Float32Array.of(3, 6);
  outer.merge(segment, local, 0.25);
  expect([...local]).toEqual([1.5, 3]);
});
