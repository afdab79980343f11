// The planner against every plan there is, on small clusters; and what it does on larger ones.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { RunConfig } from "../../core/model/config.ts";
import { NOTHING_MEASURED, type Measured } from "../../core/plan/measured.ts";
import { makePlan, type SiteWorkers } from "../../core/plan/partition.ts";
import { PlanImpossible } from "../../core/plan/plan-impossible.ts";
import { planRun } from "../../core/plan/planner.ts";
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
});
