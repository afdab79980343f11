import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { RunConfig } from "../../core/model/config.ts";
import { ownedSegment, parameterSpace, stageRange } from "../../core/model/parameters.ts";
import { makePlan } from "../../core/plan/partition.ts";
import { leadReplicas } from "../../core/plan/plan.ts";
import { wideShares } from "../../core/plan/wide-shares.ts";
import { Random } from "../../core/random.ts";
import { PLAIN_CODECS, SITE_CODECS } from "../../core/reduce/codec.ts";
import { UnsaidGradients } from "../../core/reduce/error-feedback.ts";
import { sumLayout, sumOverReplicas } from "../../core/reduce/hierarchy.ts";
import { tinyConfig } from "../fixtures/configs.ts";
import { memoryNetwork } from "../fixtures/memory-network.ts";

/** Of a step. */
const TOKENS = 512;

const clusters = fc.record({
  layers: fc.integer({ min: 1, max: 6 }),
  tied: fc.boolean(),
  stages: fc.oneof(fc.constant("auto" as const), fc.integer({ min: 1, max: 3 })),
  sites: fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 4 }),
  site: fc.constantFrom(...SITE_CODECS),
  wide: fc.constantFrom(...PLAIN_CODECS),
  speeds: fc.array(fc.double({ min: 0.01, max: 100, noNaN: true }), { minLength: 4, maxLength: 4 }),
  seed: fc.nat(),
});

function clusterPlan({
  layers,
  tied,
  vocab = 256,
  stages,
  sites,
  speeds,
}: {
  layers: number;
  tied: boolean;
  vocab?: number;
  stages: "auto" | number;
  sites: number[];
  speeds?: number[];
}) {
  const base = tinyConfig();
  const config = RunConfig.parse({
    ...base,
    stages: stages === "auto" ? stages : Math.min(stages, layers),
    batch: 32,
    microbatch: 1,
    model: { ...base.model, layers, tied, vocab },
  });
  const workers = new Map(
    sites.map((count, s) => [`s${s}`, Array.from({ length: count }, (_, i) => `s${s}-${i}`)] as const),
  );
  const plan = makePlan(config, workers);
  const leads = leadReplicas(plan);
  return {
    config,
    plan: { ...plan, ...(speeds && { wideShares: wideShares(speeds.slice(0, leads.length)) }) },
  };
}

async function sumZeros(cluster: Parameters<typeof clusterPlan>[0]) {
  const { config, plan } = clusterPlan(cluster);
  const space = parameterSpace(config.model);
  const { transport, bytes } = memoryNetwork(plan);
  const codecs = { site: "f32", wide: "f32", unsaid: null } as const;
  await Promise.all(
    plan.replicas.flatMap(({ stages }) =>
      stages.map(({ worker, first, last }) => {
        const { start, end } = ownedSegment(space, stageRange(config.model, first, last));
        const gradient = new Float32Array(end - start);
        return sumOverReplicas(
          sumLayout(config.model, plan, worker),
          gradient,
          TOKENS,
          codecs,
          transport(worker),
        );
      }),
    ),
  );
  return { space, plan, bytes };
}

describe("sumOverReplicas", () => {
  test("every worker ends with the sum over replicas, bit for bit the same, over planned links only", async () => {
    await fc.assert(
      // So large that lead replicas of three and more share their sums out, or not.
      fc.asyncProperty(clusters, fc.constantFrom(256, 8192), async (cluster, vocab) => {
        const { config, plan } = clusterPlan({ ...cluster, vocab });
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
              const codecs = { site: cluster.site, wide: cluster.wide, unsaid: null };
              await sumOverReplicas(
                sumLayout(config.model, plan, worker),
                gradient,
                TOKENS,
                codecs,
                transport(worker),
              );
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
        const rounding = { f32: 1e-6, f16: 2 ** -11, int8: 1 / 127 };
        expect(worst).toBeLessThan(
          10 * (rounding[cluster.wide] + rounding[cluster.site]) * plan.replicas.length,
        );
        for (const other of summed.slice(1))
          expect(other.every((value, i) => value === summed[0]![i])).toBe(true);
      }),
      { numRuns: 40 },
    );
  });

  test("what int4, top-k and signs leave out is said later: nothing is lost", async () => {
    const codecs = fc.constantFrom("int4" as const, "topk" as const, "sign" as const);
    await fc.assert(
      fc.asyncProperty(clusters, codecs, async (cluster, wide) => {
        const { config, plan } = clusterPlan(cluster);
        const space = parameterSpace(config.model);
        const random = new Random(cluster.seed);
        const leads = leadReplicas(plan);
        const stages = plan.replicas.flatMap((replica) =>
          replica.stages.map(({ worker, first, last }) => {
            const segment = ownedSegment(space, stageRange(config.model, first, last));
            return { worker, segment, unsaid: leads.includes(replica) ? new UnsaidGradients(segment) : null };
          }),
        );
        const [exact, said] = [new Float64Array(space.size), new Float64Array(space.size)];
        for (let step = 0; step < 3; step++) {
          const { transport } = memoryNetwork(plan);
          await Promise.all(
            stages.map(async ({ worker, segment, unsaid }) => {
              const gradient = Float32Array.from(
                { length: segment.end - segment.start },
                () => random.unit() - 0.5,
              );
              gradient.forEach((value, i) => (exact[segment.start + i]! += value));
              await sumOverReplicas(
                sumLayout(config.model, plan, worker),
                gradient,
                TOKENS,
                { site: "f32", wide, unsaid },
                transport(worker),
              );
              if (plan.replicas[0]!.stages.some((stage) => stage.worker === worker)) {
                gradient.forEach((value, i) => (said[segment.start + i]! += value));
              }
            }),
          );
        }
        for (const { segment, unsaid } of stages) {
          unsaid?.terms.forEach((value, i) => (said[segment.start + i]! += value));
          unsaid?.sums.forEach((value, i) => (said[segment.start + i]! += value));
        }
        const worst = exact.reduce((most, value, i) => Math.max(most, Math.abs(value - said[i]!)), 0);
        expect(worst).toBeLessThan(1e-5 * plan.replicas.length);
      }),
      { numRuns: 20 },
    );
  });

  test.each([
    { site: "f16", wide: "f32" },
    { site: "f32", wide: "f16" },
  ] as const)("sums over many tokens stay within f16: $site in a site, $wide between", async (travel) => {
    const { config, plan } = clusterPlan({ layers: 1, tied: true, stages: 1, sites: [2, 2] });
    const { size } = parameterSpace(config.model);
    const tokens = 500_000;
    const { transport } = memoryNetwork(plan);
    // Of means from 4 down to 1e-6, a quarter of the tokens on each replica.
    const mean = (i: number) => 4 * 10 ** -(6.6 * (i / size));
    await Promise.all(
      plan.replicas.map(async ({ stages }) => {
        const { worker } = stages[0]!;
        const gradient = Float32Array.from({ length: size }, (_, i) => (mean(i) * tokens) / 4);
        const codecs = { ...travel, unsaid: null };
        const layout = sumLayout(config.model, plan, worker);
        await sumOverReplicas(layout, gradient, tokens, codecs, transport(worker));
        const off = gradient.reduce(
          (most, value, i) => Math.max(most, Math.abs(value / (mean(i) * tokens) - 1)),
          0,
        );
        expect(off).toBeLessThan(4 * 2 ** -11);
      }),
    );
  });

  test.each([
    { sites: [2], watched: [] },
    { sites: [2, 1], watched: ["s0-0", "s1-0"] },
  ])(
    "only lead replicas, and only of several sites, sum across sites: $sites",
    async ({ sites, watched }) => {
      const { config, plan } = clusterPlan({ layers: 1, tied: true, stages: 1, sites });
      const { size } = parameterSpace(config.model);
      const { transport } = memoryNetwork(plan);
      const codecs = { site: "f32", wide: "f32", unsaid: null } as const;
      const across: string[] = [];
      await Promise.all(
        plan.replicas.map(({ stages }) => {
          const { worker } = stages[0]!;
          const gradient = new Float32Array(size);
          const watch = (sum: Promise<unknown>) => {
            across.push(worker);
            return sum;
          };
          const layout = sumLayout(config.model, plan, worker);
          return sumOverReplicas(layout, gradient, TOKENS, codecs, transport(worker), watch);
        }),
      );
      expect(across.sort()).toEqual(watched);
    },
  );

  test("two sites exchange each parameter once in each direction", async () => {
    const { space, bytes } = await sumZeros({ layers: 4, tied: false, stages: "auto", sites: [3, 2] });
    expect(bytes()).toBe(2 * 4 * space.size);
  });

  test("in a site no worker sends or takes more than its share: what it holds, (R - 1) / R of it, twice", async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 2, max: 6 }), async (replicas) => {
        const { space, plan, bytes } = await sumZeros({
          layers: 2,
          tied: false,
          stages: 1,
          sites: [replicas],
        });
        const share = 2 * 4 * space.size * ((replicas - 1) / replicas);
        // Parts are whole values, a cut for each replica.
        const rounding = 2 * 4 * replicas * replicas;
        for (const { stages } of plan.replicas) {
          const { worker } = stages[0]!;
          expect(Math.abs(bytes(({ from }) => from === worker) - share)).toBeLessThan(rounding);
          expect(Math.abs(bytes(({ to }) => to === worker) - share)).toBeLessThan(rounding);
        }
      }),
    );
  });

  test("between sites only lead replicas exchange, and no site link carries more than twice as often", async () => {
    const { space, plan, bytes } = await sumZeros({ layers: 2, tied: false, stages: 1, sites: [4, 3] });
    const isWide = (pair: { from: string; to: string }) => pair.from.slice(0, 2) !== pair.to.slice(0, 2);
    expect(bytes(isWide)).toBe(2 * 4 * space.size);
    for (const { stages } of plan.replicas) {
      const { worker } = stages[0]!;
      const inSite = bytes((pair) => pair.from === worker && !isWide(pair));
      expect(inSite).toBeLessThan(4 * 4 * space.size);
    }
  });
});
