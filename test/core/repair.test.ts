// Plans mended after workers have left.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Cluster, measuredOf, workersOf } from "../../core/plan/cluster.ts";
import { withoutBroken, withStandIns } from "../../core/plan/repair.ts";
import { planRun } from "../../core/plan/planner.ts";
import { predict } from "../../core/plan/predict.ts";
import { tinyConfig } from "../fixtures/configs.ts";

const config = tinyConfig({ batch: 24 });

/** Two sites of workers of a few speeds; some leave after the plan is made. */
const anyDeparture = fc
  .record({
    a: fc.array(fc.constantFrom(1, 2, 4), { minLength: 1, maxLength: 7 }),
    b: fc.array(fc.constantFrom(1, 2, 4), { minLength: 1, maxLength: 7 }),
    mbit: fc.constantFrom(1, 100, 10_000),
    leaves: fc.array(fc.boolean(), { minLength: 14, maxLength: 14 }),
  })
  .map(({ a, b, mbit, leaves }) => {
    const site = (name: string, speeds: readonly number[]) => ({
      name,
      workers: speeds.map((gflops) => ({ gflops })),
      link: { mbit, ms: 0.1 },
    });
    const cluster = Cluster.parse({ sites: [site("a", a), site("b", b)] });
    const sites = workersOf(cluster);
    const all = [...sites.values()].flat();
    const there = new Map(
      [...sites].map(([name, ids]) => [name, ids.filter((id) => !leaves[all.indexOf(id)])]),
    );
    const measured = measuredOf(cluster);
    return { sites, there, measured, plan: planRun(config, sites, measured).plan };
  });

const placedOf = ({ replicas }: { replicas: readonly { stages: readonly { worker: string }[] }[] }) =>
  replicas.flatMap(({ stages }) => stages.map(({ worker }) => worker));

describe("stand-ins", () => {
  test("take the places of those who left, are of their site, and make no step longer", () => {
    let mended = 0;
    fc.assert(
      fc.property(anyDeparture, ({ sites, there, measured, plan }) => {
        const next = withStandIns(plan, there, measured);
        const present = new Set([...there.values()].flat());
        const gone = placedOf(plan).filter((id) => !present.has(id));
        if (gone.length === 0) {
          expect(next).toBe(plan);
          return;
        }
        if (!next) return;
        mended++;
        expect([...placedOf(next), ...next.spare].sort()).toEqual([...present].sort());
        plan.replicas.forEach(({ site, stages, microbatches }, r) => {
          const replica = next.replicas[r]!;
          expect({ site: replica.site, microbatches: replica.microbatches }).toEqual({ site, microbatches });
          stages.forEach(({ worker, first, last }, s) => {
            const stage = replica.stages[s]!;
            expect([stage.first, stage.last]).toEqual([first, last]);
            expect(there.get(site)).toContain(stage.worker);
            // Whoever is still there keeps its stage.
            if (present.has(worker)) expect(stage.worker).toBe(worker);
          });
        });
        const secondsOf = (some: typeof plan) =>
          predict({ config, plan: some, sites, measured })!.stepSeconds;
        expect(secondsOf(next)).toBeLessThanOrEqual(secondsOf(plan) * (1 + 1e-9));
      }),
      { numRuns: 200, seed: 1 },
    );
    expect(mended).toBeGreaterThan(0);
  });

  test("are the slowest that will do, and none when a place cannot be filled", () => {
    const cluster = Cluster.parse({
      sites: [{ name: "a", workers: [{ gflops: 2 }, { gflops: 1 }, { gflops: 9 }, { gflops: 3 }] }],
    });
    const replica = { site: "a", stages: [{ worker: "a-1", first: 0, last: 3 }], microbatches: [0] };
    const plan = { replicas: [replica], spare: ["a-2", "a-3", "a-4"] };
    const measured = measuredOf(cluster);
    const next = withStandIns(plan, new Map([["a", ["a-2", "a-3", "a-4"]]]), measured);
    expect(next).toMatchObject({ replicas: [{ stages: [{ worker: "a-4" }] }], spare: ["a-2", "a-3"] });
    expect(withStandIns(plan, new Map([["a", ["a-2"]]]), measured)).toBe(null);
  });
});

test("without the pipelines that are broken, the others do all microbatches, each once", () => {
  let mended = 0;
  fc.assert(
    fc.property(anyDeparture, ({ there, measured, plan }) => {
      const next = withoutBroken(config, plan, there, measured);
      const present = new Set([...there.values()].flat());
      const whole = plan.replicas.filter(({ stages }) => stages.every(({ worker }) => present.has(worker)));
      if (whole.length === 0) {
        expect(next).toBe(null);
        return;
      }
      mended++;
      expect(next!.replicas.flatMap(({ microbatches }) => microbatches)).toEqual(
        Array.from({ length: config.batch }, (_, i) => i),
      );
      expect([...placedOf(next!), ...next!.spare].sort()).toEqual([...present].sort());
      for (const { stages } of next!.replicas) {
        expect(whole.map((replica) => replica.stages)).toContainEqual(stages);
      }
    }),
    { numRuns: 200, seed: 1 },
  );
  expect(mended).toBeGreaterThan(0);
});
