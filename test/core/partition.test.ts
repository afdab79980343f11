import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { RunConfig, type ModelConfig } from "../../core/model/config.ts";
import { balancedCuts, blockFlops, headFlops, makePlan } from "../../core/plan/partition.ts";
import { tinyConfig } from "../fixtures/configs.ts";

const sites = fc.uniqueArray(
  fc.record({ name: fc.constantFrom("a", "b", "c", "d"), workers: fc.integer({ min: 0, max: 7 }) }),
  { selector: ({ name }) => name, minLength: 1 },
);

function crew(list: { name: string; workers: number }[]) {
  return new Map(
    list.map(
      ({ name, workers }) => [name, Array.from({ length: workers }, (_, i) => `${name}-${i}`)] as const,
    ),
  );
}

describe("makePlan", () => {
  test("every worker has one place or is spare; each replica holds all blocks; microbatches are dealt out once", () => {
    fc.assert(
      fc.property(
        sites.filter((list) => list.some(({ workers }) => workers > 0)),
        fc.oneof(fc.constant("auto" as const), fc.integer({ min: 1, max: 3 })),
        fc.integer({ min: 1, max: 9 }),
        (list, stages, batch) => {
          const config = tinyConfig({ stages, batch, microbatch: 1 });
          const plan = makePlan(config, crew(list));
          const placed = plan.replicas.flatMap(({ stages }) => stages.map(({ worker }) => worker));
          expect([...placed, ...plan.spare].sort()).toEqual([...crew(list).values()].flat().sort());
          for (const { stages, microbatches } of plan.replicas) {
            expect(microbatches.length).toBeGreaterThan(0);
            expect(stages[0]!.first).toBe(0);
            expect(stages.at(-1)!.last).toBe(config.model.layers);
            for (const [i, { first, last }] of stages.entries()) {
              expect(last).toBeGreaterThan(first);
              if (i > 0) expect(first).toBe(stages[i - 1]!.last);
            }
          }
          expect(plan.replicas.flatMap(({ microbatches }) => microbatches)).toEqual(
            Array.from({ length: batch }, (_, i) => i),
          );
        },
      ),
    );
  });

  test("three workers and two stages: one pipeline and a spare", () => {
    const plan = makePlan(tinyConfig({ stages: 2 }), new Map([["a", ["a-1", "a-2", "a-3"]]]));
    expect(plan.replicas).toHaveLength(1);
    expect(plan.spare).toEqual(["a-3"]);
  });
});

describe("balancedCuts", () => {
  const bottleneck = (model: ModelConfig, cuts: number[]) =>
    Math.max(
      ...cuts
        .slice(1)
        .map(
          (last, i) => (last - cuts[i]!) * blockFlops(model) + (last === model.layers ? headFlops(model) : 0),
        ),
    );

  function everyCut(layers: number, stages: number): number[][] {
    if (stages === 1) return [[0, layers]];
    return Array.from({ length: layers - stages + 1 }, (_, i) => layers - 1 - i)
      .filter((start) => start >= stages - 1)
      .flatMap((start) => everyCut(start, stages - 1).map((cuts) => [...cuts, layers]));
  }

  test("as good as the best of all cuts", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 8 }),
        fc.integer({ min: 1, max: 8 }),
        fc.integer({ min: 2, max: 3000 }),
        (layers, wanted, vocab) => {
          const stages = Math.min(layers, wanted);
          const { model } = RunConfig.parse({
            ...tinyConfig(),
            model: { ...tinyConfig().model, layers, vocab },
          });
          const cuts = balancedCuts(model, stages);
          expect(cuts).toHaveLength(stages + 1);
          expect(bottleneck(model, cuts)).toBe(
            Math.min(...everyCut(layers, stages).map((other) => bottleneck(model, other))),
          );
        },
      ),
    );
  });
});
