import { describe, expect, test } from "vitest";
import { type Measured, NOTHING_MEASURED } from "../../core/plan/measured.ts";
import type { Plan } from "../../core/plan/plan.ts";
import { planRun } from "../../core/plan/planner.ts";
import { isWorthAPause, type Circumstances, type Occasion } from "../../core/plan/replanning.ts";
import { tinyConfig } from "../fixtures/configs.ts";

const config = tinyConfig({ batch: 32, microbatch: 1 });
const both = new Map([["a", ["a-1", "a-2"]]]);
const one = new Map([["a", ["a-1"]]]);

function measured(speeds: Record<string, number>): Measured {
  const workers = Object.entries(speeds).map(
    ([id, block]) => [id, { block, head: block, overhead: 0, memory: 1e12 }] as const,
  );
  return { ...NOTHING_MEASURED, workers: new Map(workers) };
}

const because = (occasion: Occasion, stepsLeft = 1e6): Circumstances => ({ occasion, stepsLeft });

describe("isWorthAPause", () => {
  const even = measured({ "a-1": 1e9, "a-2": 1e9 });

  test("not for the same plan", () => {
    const planned = planRun(config, both, even);
    for (const occasion of ["members", "speeds"] as const) {
      expect(isWorthAPause(planned.plan, planned, because(occasion))).toBe(false);
    }
  });

  test("when a worker of the plan has gone, whatever it gains", () => {
    const { plan } = planRun(config, both, even);
    expect(isWorthAPause(plan, planRun(config, one, even), because("speeds"))).toBe(true);
    const next = planRun(config, one);
    expect(isWorthAPause(planRun(config, both).plan, next, because("members"))).toBe(true);
  });

  test("when a worker came that is of use; without a speed, for any other plan", () => {
    const { plan } = planRun(config, one, even);
    expect(isWorthAPause(plan, planRun(config, both, even), because("members"))).toBe(true);
    const slow = measured({ "a-1": 1e9, "a-2": 1e6 });
    expect(isWorthAPause(plan, planRun(config, both, slow), because("members"))).toBe(false);
    const blind = planRun(config, one).plan;
    expect(isWorthAPause(blind, planRun(config, both), because("members"))).toBe(true);
    expect(isWorthAPause(blind, planRun(config, both), because("speeds"))).toBe(false);
  });

  test("when a worker has become much slower, not when it varies a little", () => {
    const { plan } = planRun(config, both, even);
    const verdict = (speed: number) => {
      const now = measured({ "a-1": 1e9, "a-2": speed });
      return isWorthAPause(plan, planRun(config, both, now), because("speeds"));
    };
    expect(verdict(0.85e9)).toBe(false);
    expect(verdict(0.25e9)).toBe(true);
  });

  test("for other speeds only if there are steps enough left to make up for the pause", () => {
    const { plan } = planRun(config, both, even);
    const next = planRun(config, both, measured({ "a-1": 1e9, "a-2": 0.25e9 }));
    expect(isWorthAPause(plan, next, because("speeds", 10))).toBe(false);
    expect(isWorthAPause(plan, next, because("speeds", 1e5))).toBe(true);
  });

  describe("for shares of wide sums by lines that were not known at first", () => {
    const sites = new Map(["a", "b", "c"].map((site) => [site, [`${site}-1`]]));
    const thirds = tinyConfig({ batch: 33, microbatch: 1 });
    const even = measured({ "a-1": 6e7, "b-1": 6e7, "c-1": 6e7 });
    const lines = (mbit: readonly number[]): Measured => ({
      ...even,
      wideLinks: new Map(
        [...sites.keys()].map((site, i) => [site, { bytesPerSecond: mbit[i]! * 125e3, delay: 0 }]),
      ),
    });
    const blind = planRun(thirds, sites, even).plan;
    const verdict = (current: Plan, mbit: readonly number[], stepsLeft = 1e6): boolean =>
      isWorthAPause(current, planRun(thirds, sites, lines(mbit)), because("speeds", stepsLeft));

    test("when they save enough of a step, and steps enough are left", () => {
      expect(blind.wideShares).toBeUndefined();
      expect(verdict(blind, [20, 20, 5])).toBe(true);
      expect(verdict(blind, [20, 20, 5], 1)).toBe(false);
      expect(verdict(blind, [20, 20, 18])).toBe(false);
    });

    test("not again once they are in force, though lines vary", () => {
      const { plan } = planRun(thirds, sites, lines([20, 20, 5]));
      expect(verdict(plan, [20, 20, 5])).toBe(false);
      expect(verdict(plan, [20, 19, 5.5])).toBe(false);
      expect(verdict(plan, [20, 23, 4])).toBe(false);
    });
  });
});
