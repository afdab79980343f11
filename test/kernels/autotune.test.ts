// Contests on a real device: candidates that are right pass and are timed, others are found out. Who wins is not
// asserted: that is a matter of time, and of test/web/tuning-search.test.ts.
import { describe, expect, onTestFinished, test } from "vitest";
import { openAttentionContest } from "../../web/engine/autotune/attention-contest.ts";
import { attempt } from "../../web/engine/autotune/attempt.ts";
import { openGpu } from "../../web/engine/device.ts";
import type { MatmulVariant, Product } from "../../web/engine/matmul.ts";
import { openProductContest, ProductChecks } from "../../web/engine/autotune/product-contest.ts";
import { Budget, search } from "../../web/engine/autotune/search.ts";
import { NOTHING_KNOWN, TuningRecord, type KnownTuning } from "../../web/engine/autotune/tuning-record.ts";
import { matrixShape } from "../../web/engine/subgroup-matrix.ts";
import { gpu, instance } from "./device.ts";

const registers = { kind: "registers", rows: 4, quads: 2, rowGroups: 16, shares: false } as const;
const tn: Product = { layout: "tn", M: 70, N: 12, K: 9 };

/** Right ones, one that leaves columns out and writes others twice, one that indexes past an array's end. */
const VARIANTS: Readonly<Record<string, MatmulVariant>> = {
  table: registers,
  taller: { ...registers, rows: 8 },
  wrong: { kind: "tiled", rows: 4, quads: 2, side: 6 },
  broken: { ...registers, rows: 6 },
};

const candidates = Object.entries(VARIANTS).map(([name, variant]) => ({ name, variant }));

describe("a contest of products", () => {
  test("settles on one that computes right; the others are bad", async () => {
    let saved: KnownTuning = NOTHING_KNOWN;
    const record = new TuningRecord(NOTHING_KNOWN, async (known) => void (saved = known));
    const open = () => openProductContest(gpu, tn, new ProductChecks(gpu, "f32"), candidates);
    await search([{ key: "tn", open }], record, new Budget(1e9));
    expect(["table", "taller"]).toContain(record.best("tn"));
    expect(saved).toEqual({ best: { tn: record.best("tn") }, bad: ["wrong", "broken"], trying: null });
  });

  test("ends with the device, and leaves the mark of who was being tried", async () => {
    const doomed = await openGpu(instance);
    let saved: KnownTuning = NOTHING_KNOWN;
    const record = new TuningRecord(NOTHING_KNOWN, async (known) => {
      saved = known;
      if (known.trying === "taller") doomed.device.destroy();
    });
    const open = () => openProductContest(doomed, tn, new ProductChecks(doomed, "f32"), candidates);
    await expect(search([{ key: "tn", open }], record, new Budget(1e9))).rejects.toThrow();
    expect(saved).toEqual({ best: {}, bad: [], trying: "taller" });
  });

  test.each(["nt", "nn"] as const)("checks the epilogues of %s", async (layout) => {
    const checks = new ProductChecks(gpu, "f32");
    expect(await checks.passes(layout, registers)).toBe(true);
  });

  const matrix = matrixShape(gpu);
  test.runIf(matrix !== null).each(["nt", "nn", "tn"] as const)(
    "in f16 subgroup matrices are right, in f32 not: %s (where the GPU has them)",
    async (layout) => {
      const lanes = gpu.info.subgroupMaxSize!;
      const tile = { matrix: matrix!, lanes, down: 1, across: 2, rows: 1, strips: 1 };
      const variant = { kind: "subgroup-matrix", ...tile } as const;
      expect(await new ProductChecks(gpu, "f16").passes(layout, variant)).toBe(true);
      expect(await new ProductChecks(gpu, "f32").passes(layout, variant)).toBe(false);
    },
  );

  test("a product that is large for the device is cut down to be timed", async () => {
    const large: Product = { layout: "tn", M: 4096, N: 1024, K: 1024 };
    const contest = await openProductContest(
      gpu,
      large,
      new ProductChecks(gpu, "f32"),
      candidates.slice(0, 1),
    );
    onTestFinished(() => contest.close());
    expect(await contest.contenders[0].time()).toBeGreaterThan(0);
  });
});

const precisions = gpu.device.features.has("shader-f16") ? (["f32", "f16"] as const) : (["f32"] as const);

test.each(precisions)("a contest of attention in %s checks forward and backward", async (precision) => {
  const shape = { R: 20, T: 10, H: 2, G: 1, D: 4 };
  const shares = gpu.device.features.has("subgroups") ? (["none", "quad"] as const) : (["none"] as const);
  const contest = await openAttentionContest(
    gpu,
    shape,
    precision,
    shares.map((share) => ({ name: share, variant: { rows: 1, rowGroups: 16, share } })),
  );
  onTestFinished(() => contest.close());
  for (const { check, time } of contest.contenders) {
    expect(await check()).toBe(true);
    expect(await time()).toBeGreaterThanOrEqual(0);
  }
});

describe("an attempt", () => {
  test("is null where WebGPU reports an error, which goes no further", async () => {
    const size = gpu.device.limits.maxBufferSize + 4;
    const create = async () => gpu.device.createBuffer({ size, usage: GPUBufferUsage.STORAGE });
    expect(await attempt(gpu, create)).toBeNull();
  });

  test("throws on a lost device, and what is no matter of the GPU", async () => {
    const lost = { ...gpu, lost: Promise.resolve("pulled out") };
    await expect(attempt(lost, async () => 1)).rejects.toThrow("the GPU device was lost: pulled out");
    const fails = async () => {
      throw new RangeError("a bug");
    };
    await expect(attempt(gpu, fails)).rejects.toThrow(RangeError);
  });
});
