// The planner against every plan there is, on small clusters; and what it does on larger ones.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { RunConfig } from "../../core/model/config.ts";
import { withoutZeroBubble } from "../../core/plan/choose-order.ts";
import { leftOutOf } from "../../core/plan/left-out.ts";
import type { Measured } from "../../core/plan/measured.ts";
import { stageBytes, stageSpecOf } from "../../core/plan/memory.ts";
import { makePlan, type SiteWorkers } from "../../core/plan/partition.ts";
import { PlanImpossible } from "../../core/plan/plan-impossible.ts";
import { planRun } from "../../core/plan/planner.ts";
import { predict, replicaSeconds } from "../../core/plan/predict.ts";
import type { LinkSpeed, WorkerSpeed } from "../../core/plan/speed.ts";
import { StageMemory } from "../../core/plan/stage-memory.ts";
import { roundsStrategy, tinyConfig } from "../fixtures/configs.ts";
import { costOf, everyPlan, fitsIn } from "../fixtures/every-plan.ts";

const MB = 1e6;

/** Speeds at which a block of the tiny model takes about a millisecond a microbatch. */
const speed = (factor: number, changes: Partial<WorkerSpeed> = {}): WorkerSpeed => ({
  block: factor * 4e8,
  head: factor * 3e8,
  overhead: 0,
  memory: Infinity,
  ...changes,
});

interface Cluster {
  readonly sites: SiteWorkers;
  readonly measured: Measured;
}

function cluster(
  speeds: Record<string, readonly WorkerSpeed[]>,
  links: { site?: LinkSpeed; wide?: LinkSpeed } = {},
): Cluster {
  const named = Object.entries(speeds).map(
    ([site, list]) => [site, list.map((speed, i) => [`${site}-${i + 1}`, speed] as const)] as const,
  );
  const linksBy = (link: LinkSpeed | undefined) =>
    new Map(link ? named.map(([site]) => [site, link] as const) : []);
  return {
    sites: new Map(named.map(([site, list]) => [site, list.map(([id]) => id)])),
    measured: {
      workers: new Map(named.flatMap(([, list]) => list)),
      siteLinks: linksBy(links.site),
      wideLinks: linksBy(links.wide),
    },
  };
}

const anySpeed = fc
  .record({
    factor: fc.constantFrom(0.05, 0.5, 1, 2, 4),
    overhead: fc.constantFrom(0, 0.0002, 0.002),
    // The tiny model's stages take 1.3 to 1.9 MB.
    memory: fc.constantFrom(Infinity, Infinity, 1.8 * MB, 1.65 * MB, 1.5 * MB, 1.3 * MB),
  })
  .map(({ factor, ...rest }) => speed(factor, rest));
const anyLink = fc.record({
  bytesPerSecond: fc.constantFrom(Infinity, 1e8, 1e6),
  delay: fc.constantFrom(0, 0.0005, 0.02),
});
const anyCluster = fc
  .tuple(fc.array(anySpeed, { minLength: 1, maxLength: 4 }), fc.integer({ min: 0, max: 2 }), anyLink, anyLink)
  .map(([speeds, split, site, wide]) => {
    const second = speeds.slice(0, Math.min(split, speeds.length - 1));
    return cluster(
      { a: speeds.slice(second.length), ...(second.length > 0 && { b: second }) },
      { site, wide },
    );
  });
const anyConfig = fc
  .record({
    layers: fc.integer({ min: 1, max: 4 }),
    tied: fc.boolean(),
    batch: fc.integer({ min: 1, max: 5 }),
    stages: fc.constantFrom("auto" as const, "auto" as const, 1, 2),
    strategy: fc.constantFrom(
      { kind: "sync" as const, gradients: "f32" as const },
      { kind: "sync" as const, gradients: "int8" as const },
      roundsStrategy({ fragments: 1, overlap: 2 }),
      roundsStrategy({ fragments: 1, bits: 2, merge: 0 }),
      roundsStrategy({ fragments: 1, bits: 1, merge: 0 }),
    ),
  })
  .map(({ layers, tied, stages, ...rest }) =>
    tinyConfig({
      ...rest,
      stages: stages === "auto" ? stages : Math.min(stages, layers),
      model: { ...tinyConfig().model, layers, tied },
    }),
  );

function bestOfAll(config: RunConfig, { sites, measured }: Cluster): number {
  let best = Infinity;
  everyPlan(config, sites, (plan) => {
    if (fitsIn(config, plan, measured)) best = Math.min(best, costOf(config, plan, measured));
  });
  return best;
}

describe("planRun", () => {
  test("is as good as the best of all plans, and impossible only where none fits", () => {
    fc.assert(
      fc.property(anyConfig, anyCluster, (config, some) => {
        const best = bestOfAll(config, some);
        if (best === Infinity) {
          expect(() => planRun(config, some.sites, some.measured)).toThrow(PlanImpossible);
          return;
        }
        const { plan } = planRun(config, some.sites, some.measured);
        expect(fitsIn(config, plan, some.measured)).toBe(true);
        expect(costOf(config, plan, some.measured) / best).toBeCloseTo(1, 9);
      }),
      { numRuns: 150 },
    );
  }, 120_000);

  test("without any speed is makePlan, with the same spare workers", () => {
    fc.assert(
      fc.property(anyConfig, anyCluster, (config, { sites }) => {
        const planned = planRun(config, sites);
        const { plan, prediction } = planned;
        expect(plan).toEqual(makePlan(config, sites));
        expect(prediction).toBe(null);
        const leftOut = leftOutOf(planned).map(({ worker }) => worker);
        expect(leftOut.sort()).toEqual([...plan.spare].sort());
      }),
    );
  });

  test("places each worker once or says why not, deals out each microbatch once, and does the same again", () => {
    const manySpeeds = fc.array(anySpeed, { minLength: 5, maxLength: 14 });
    fc.assert(
      fc.property(anyConfig, manySpeeds, manySpeeds, anyLink, (config, a, b, link) => {
        const some = cluster({ a, b }, { site: link, wide: link });
        const attempt = () => {
          try {
            return planRun(config, some.sites, some.measured);
          } catch (error) {
            if (error instanceof PlanImpossible) return null;
            throw error;
          }
        };
        const planned = attempt();
        expect(attempt()).toEqual(planned);
        if (!planned) return;
        const { plan } = planned;
        const placed = plan.replicas.flatMap(({ stages }) => stages.map(({ worker }) => worker));
        expect([...placed, ...plan.spare].sort()).toEqual([...some.sites.values()].flat().sort());
        const leftOut = leftOutOf(planned).map(({ worker }) => worker);
        expect(leftOut.sort()).toEqual([...plan.spare].sort());
        expect(plan.replicas.flatMap(({ microbatches }) => microbatches)).toEqual(
          Array.from({ length: config.batch }, (_, i) => i),
        );
        for (const { stages } of plan.replicas) {
          const cuts = [0, ...stages.map(({ last }) => last)];
          expect(stages.map(({ first }) => first)).toEqual(cuts.slice(0, -1));
          expect(cuts.at(-1)).toBe(config.model.layers);
          if (config.stages !== "auto") expect(stages).toHaveLength(config.stages);
        }
        expect(fitsIn(config, plan, some.measured)).toBe(true);
      }),
      { numRuns: 40 },
    );
  });

  test("a worker that has not been measured counts as the median", () => {
    const { sites, measured } = cluster({ a: [speed(1), speed(4), speed(2)] });
    const config = tinyConfig({ batch: 28 });
    const known = new Map([...measured.workers].filter(([id]) => id !== "a-3"));
    const withMedian = new Map([...known, ["a-3", speed(1)]]);
    const shares = (workers: Measured["workers"]) =>
      planRun(config, sites, { ...measured, workers }).plan.replicas.map(
        ({ microbatches }) => microbatches.length,
      );
    expect(shares(measured.workers)).toEqual([16, 8, 4]);
    expect(shares(known)).toEqual(shares(withMedian));
  });

  test("chooses replicas where links are fast, and a pipeline where summing gradients would take too long", () => {
    const speeds = { a: [speed(1), speed(1)] };
    const depths = (link: LinkSpeed) => {
      const { sites, measured } = cluster(speeds, { site: link });
      return planRun(tinyConfig({ batch: 16 }), sites, measured).plan.replicas.map(
        ({ stages }) => stages.length,
      );
    };
    expect(depths({ bytesPerSecond: 1e9, delay: 0 })).toEqual([1, 1]);
    expect(depths({ bytesPerSecond: 1e6, delay: 0 })).toEqual([2]);
  });

  test("leaves out a worker that is too slow, one without memory, and a site behind a slow line, and says so", () => {
    const { sites, measured } = cluster({
      a: [speed(1), speed(1), speed(0.001), speed(1, { memory: 1.2 * MB })],
      b: [speed(1)],
    });
    const wideLinks = new Map([["b", { bytesPerSecond: 1e4, delay: 0.02 }]]);
    const leftOut = leftOutOf(planRun(tinyConfig({ stages: 1 }), sites, { ...measured, wideLinks }));
    expect(leftOut.map(({ worker, why }) => `${worker}: ${why}`)).toEqual([
      expect.stringMatching(/^a-3: too slow: a single block takes it longer than/),
      expect.stringMatching(/^a-4: one block takes 1\.\d MB of GPU memory, it has 1\.2 MB$/),
      expect.stringMatching(/^b-1: with site b, exchanging between sites would take longer/),
    ]);
  });

  test("says what would help where the model does not fit", () => {
    const { sites, measured } = cluster({ a: [speed(1, { memory: 1.5 * MB })] });
    expect(() => planRun(tinyConfig({ microbatch: 2 }), sites, measured)).toThrow(
      /^the model does not fit: .* memory for \d of its 3 blocks; set "recompute": true, or lower microbatch \(now 2\), or add workers/,
    );
  });
});

describe("prediction", () => {
  const anyPlanned = fc
    .tuple(anyConfig, anyCluster)
    .filter(([config, some]) => bestOfAll(config, some) < Infinity);

  test("its parts are the step; it takes no longer than the formulas say; the ratio is at most 1", () => {
    fc.assert(
      fc.property(anyPlanned, ([config, some]) => {
        const { plan, prediction } = planRun(config, some.sites, some.measured);
        const { stepSeconds, tokensPerSecond, parts, ratio } = prediction!;
        const sum = Object.values(parts).reduce((a, b) => a + b, 0);
        expect(sum / stepSeconds).toBeCloseTo(1, 9);
        expect(tokensPerSecond * stepSeconds).toBeCloseTo(config.batch * config.model.context, 6);
        expect(ratio).toBeLessThanOrEqual(1 + 1e-9);
        // The sum over a site's replicas is at least what the formula says: the largest part is known here.
        const formulas = costOf(config, plan, some.measured);
        if (plan.replicas.length === 1) expect(stepSeconds).toBeLessThanOrEqual(formulas * (1 + 1e-9));
      }),
      { numRuns: 60 },
    );
  });

  test("is 4 + 2 + 1 + 1 times one worker's where shares come out even and links are free", () => {
    const { sites, measured } = cluster({
      a: [speed(4), speed(2), speed(1), speed(1)].map((one) => ({ ...one, head: one.block })),
    });
    const { prediction, plan } = planRun(tinyConfig({ batch: 32 }), sites, measured);
    expect(plan.replicas.map(({ microbatches }) => microbatches.length)).toEqual([16, 8, 4, 4]);
    expect(prediction!.ratio).toBeCloseTo(1, 9);
  });

  test("zero-bubble is chosen where a pipeline gains by it and has the memory, and only there", () => {
    fc.assert(
      fc.property(anyPlanned, fc.boolean(), ([config, { sites, measured }], recompute) => {
        const { plan } = planRun({ ...config, recompute }, sites, measured);
        const run = { config, plan, sites, measured };
        for (const { zeroBubble, ...replica } of plan.replicas) {
          const halved = { ...replica, zeroBubble: true } as const;
          const [before, after] = replicaSeconds(run, [replica, halved]);
          const gains = after! <= 0.99 * before!;
          const fits = fitsIn(config, { replicas: [halved], spare: [] }, measured);
          expect(zeroBubble === true).toBe(gains && fits && !recompute);
        }
      }),
      { numRuns: 100 },
    );
  });

  test("of even stages zero-bubble takes away up to two thirds of the bubble", () => {
    const { sites, measured } = cluster({ a: [speed(1), speed(1), speed(1)] });
    const config = tinyConfig({ stages: 3 });
    const { plan, prediction } = planRun(config, sites, measured);
    expect(plan.replicas.map(({ zeroBubble }) => zeroBubble)).toEqual([true]);
    const without = predict({ config, plan: withoutZeroBubble(plan), sites, measured })!;
    expect(without.stepSeconds / prediction!.stepSeconds - 1).toBeGreaterThan(0.05);
    expect(planRun({ ...config, recompute: true }, sites, measured).plan).toEqual(withoutZeroBubble(plan));
  });
});

test("a stage's bytes are those of the memory plan, whatever its place", () => {
  fc.assert(
    fc.property(anyConfig, fc.integer({ min: 1, max: 4 }), fc.boolean(), (config, wanted, recompute) => {
      const some = { ...config, recompute };
      const stages = Math.min(wanted, config.model.layers);
      const cuts = Array.from({ length: stages }, (_, i) => ({ worker: String(i), first: i, last: i + 1 }));
      cuts.at(-1)!.last = config.model.layers;
      const microbatches = Array.from({ length: config.batch }, (_, i) => i);
      const memory = new StageMemory(some);
      for (const [stage, { first, last }] of cuts.entries()) {
        const spec = stageSpecOf(some, { site: "a", stages: cuts, microbatches }, stage);
        expect(memory.bytes(stage, stages, last - first)).toBe(stageBytes(spec));
        if (!recompute) {
          const replica = { site: "a", stages: cuts, microbatches, zeroBubble: true } as const;
          const halved = stageSpecOf(some, replica, stage);
          expect(memory.bytes(stage, stages, last - first, true)).toBe(stageBytes(halved));
        }
        const most = memory.mostBlocks(stage, stages, stageBytes(spec));
        expect(most).toBeGreaterThanOrEqual(last - first);
        expect(memory.mostBlocks(stage, stages, stageBytes(spec) - 1)).toBe(last - first - 1);
      }
    }),
  );
});
