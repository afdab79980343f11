import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { RunConfig } from "../../core/model/config.ts";
import { ownedSegment, parameterSpace, stageRange } from "../../core/model/parameters.ts";
import { makePlan } from "../../core/plan/partition.ts";
import { Random } from "../../core/random.ts";
import { PLAIN_CODECS } from "../../core/reduce/codec.ts";
import { sumOverReplicas } from "../../core/reduce/hierarchy.ts";
import { tinyConfig } from "../fixtures/configs.ts";
import { memoryNetwork } from "../fixtures/memory-network.ts";

const clusters = fc.record({
  layers: fc.integer({ min: 1, max: 6 }),
  tied: fc.boolean(),
  stages: fc.oneof(fc.constant("auto" as const), fc.integer({ min: 1, max: 3 })),
  sites: fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 4 }),
  codec: fc.constantFrom(...PLAIN_CODECS),
  seed: fc.nat(),
});

function clusterPlan({
  layers,
  tied,
  stages,
  sites,
}: {
  layers: number;
  tied: boolean;
  stages: "auto" | number;
  sites: number[];
}) {
  const base = tinyConfig();
  const config = RunConfig.parse({
    ...base,
    stages: stages === "auto" ? stages : Math.min(stages, layers),
    batch: 32,
    microbatch: 1,
    model: { ...base.model, layers, tied },
  });
  const workers = new Map(
    sites.map((count, s) => [`s${s}`, Array.from({ length: count }, (_, i) => `s${s}-${i}`)] as const),
  );
  return { config, plan: makePlan(config, workers) };
}

describe("sumOverReplicas", () => {
  test("every worker ends with the sum over replicas, bit for bit the same, over planned links only", async () => {
    await fc.assert(
      fc.asyncProperty(clusters, async (cluster) => {
        const { config, plan } = clusterPlan(cluster);
        const space = parameterSpace(config.model);
        const random = new Random(cluster.seed);
        const full = plan.replicas.map(() =>
          Float32Array.from({ length: space.size }, () => random.unit() - 0.5),
        );
        const { transport } = memoryNetwork(plan);
        const results = await Promise.all(
          plan.replicas.flatMap(({ stages }, r) =>
            stages.map(async ({ worker, first, last }) => {
              const segment = ownedSegment(space, stageRange(config.model, first, last));
              const gradient = full[r]!.slice(segment.start, segment.end);
              await sumOverReplicas(config.model, plan, worker, gradient, cluster.codec, transport(worker));
              return { r, segment, gradient };
            }),
          ),
        );
        const summed = plan.replicas.map(() => new Float32Array(space.size));
        for (const { r, segment, gradient } of results) summed[r]!.set(gradient, segment.start);
        const worst = summed[0]!.reduce((most, value, i) => {
          const exact = full.reduce((sum, values) => sum + values[i]!, 0);
          return Math.max(most, Math.abs(value - exact));
        }, 0);
        // A term and the sum are rounded once each: values are below 1/2, sums below the number of replicas.
        const step = { f32: 1e-6, f16: 2 ** -11, int8: 1 / 127 }[cluster.codec];
        expect(worst).toBeLessThan(10 * step * plan.replicas.length);
        for (const other of summed.slice(1))
          expect(other.every((value, i) => value === summed[0]![i])).toBe(true);
      }),
      { numRuns: 40 },
    );
  });

  test("two sites exchange each parameter once in each direction", async () => {
    const { config, plan } = clusterPlan({ layers: 4, tied: false, stages: "auto", sites: [3, 2] });
    const space = parameterSpace(config.model);
    const { transport, bytes } = memoryNetwork(plan);
    await Promise.all(
      plan.replicas.flatMap(({ stages }) =>
        stages.map(({ worker, first, last }) => {
          const { start, end } = ownedSegment(space, stageRange(config.model, first, last));
          return sumOverReplicas(
            config.model,
            plan,
            worker,
            new Float32Array(end - start),
            "f32",
            transport(worker),
          );
        }),
      ),
    );
    expect(bytes()).toBe(2 * 4 * space.size);
  });
});
