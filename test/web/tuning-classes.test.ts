// What a stage is tuned for: its shape classes, the candidates of each, and the tuning made of a record.
import { describe, expect, test } from "vitest";
import { stageRange } from "../../core/model/parameters.ts";
import type { Precision } from "../../core/plan/memory.ts";
import { attentionMemory } from "../../web/engine/attention.ts";
import { autotune, isTuned, tunedFor } from "../../web/engine/autotune/autotune.ts";
import { attentionCandidates, matmulCandidates } from "../../web/engine/autotune/candidates.ts";
import type { Gpu } from "../../web/engine/device.ts";
import { subgroupMatrixMemory, type Product } from "../../web/engine/matmul.ts";
import { productClass, shapeClasses } from "../../web/engine/autotune/shape-classes.ts";
import { NOTHING_KNOWN, TuningRecord, type KnownTuning } from "../../web/engine/autotune/tuning-record.ts";
import { tuningFor } from "../../web/engine/tuning.ts";
import { fakeGpu } from "../fixtures/gpus.ts";
import { smallModel } from "../fixtures/models.ts";

const gpu = fakeGpu({ vendor: "nvidia" }, ["subgroups"]);
const optimizer = { beta1: 0.9, beta2: 0.95, eps: 1e-8, weightDecay: 0.1 };
const product: Product = { layout: "nt", M: 64, N: 64, K: 64 };

function spec(first = 0, last = 2) {
  const model = smallModel({ width: 32, hidden: 64, context: 30, vocab: 250 });
  return {
    model,
    range: stageRange(model, first, last),
    microbatch: 2,
    slots: 3,
    recompute: false,
    split: false,
    precision: "f32" as const,
    optimizer,
  };
}

const recordOf = (known: Partial<KnownTuning>) =>
  new TuningRecord({ ...NOTHING_KNOWN, ...known }, async () => {});

describe("shape classes", () => {
  test("are those of a microbatch's operations, costliest first", () => {
    const classes = shapeClasses(gpu, spec());
    const keys = classes.map(({ key }) => key);
    expect(keys[0]).toBe("f32 nt 64x128x32");
    expect(keys).toContain("f32 nt 64x256x32");
    expect(keys).toContain("f32 attention 8: 64 rows of 32, 4/2 heads");
    expect(new Set(keys).size).toBe(keys.length);
    const costs = classes.map(({ cost }) => cost);
    expect(costs).toEqual(costs.toSorted((a, b) => b - a));
  });

  test("a stage without the head does not have the head's", () => {
    expect(shapeClasses(gpu, spec(0, 1)).map(({ key }) => key)).not.toContain("f32 nt 64x256x32");
  });

  test("sizes that are about the same are one class", () => {
    const of = (M: number) => productClass({ ...product, M }, "f32");
    expect(of(1000)).toBe(of(1024));
    expect(of(1024)).toBe(of(1400));
    expect(of(1024)).not.toBe(of(1500));
    expect(productClass({ ...product, layout: "nn" }, "f32")).not.toBe(of(64));
    expect(productClass(product, "f16")).not.toBe(of(64));
  });
});

describe("candidates", () => {
  test("the table's comes first, and none comes twice", () => {
    const candidates = matmulCandidates(gpu, product, "f32");
    expect(candidates[0].variant).toEqual(tuningFor(gpu).matmul(product));
    expect(new Set(candidates.map(({ variant }) => JSON.stringify(variant))).size).toBe(candidates.length);
    expect(candidates).toHaveLength(12);
  });

  test("none needs a feature or more workgroup memory than the device has", () => {
    const plain = fakeGpu({ vendor: "nvidia" });
    expect(matmulCandidates(plain, product, "f32")).toHaveLength(8);
    for (const headWidth of [4, 64, 128, 256]) {
      const variants = attentionCandidates(plain, headWidth, "f32").map(({ variant }) => variant);
      expect(variants[0]).toEqual(tuningFor(plain).attention(headWidth));
      expect(variants.map(({ share }) => share)).not.toContain("quad");
      expect(
        Math.max(...variants.map((variant) => attentionMemory(variant, headWidth, "f32"))),
      ).toBeLessThanOrEqual(16384);
    }
  });
});

describe("subgroup matrices", () => {
  const features = ["shader-f16", "subgroups", "chromium-experimental-subgroup-matrix"];
  const info = {
    vendor: "nvidia",
    subgroupMaxSize: 32,
    subgroupMatrixConfigs: [{ componentType: "f16", resultComponentType: "f32", M: 16, N: 16, K: 16 }],
  };
  const kinds = (on: Gpu, precision: Precision) =>
    matmulCandidates(on, product, precision).map(({ variant }) => variant.kind);

  test("are candidates where the GPU has them and the run is in f16, and in no table", () => {
    const able = fakeGpu(info, features);
    expect(kinds(able, "f16")).toContain("subgroup-matrix");
    expect(kinds(able, "f32")).not.toContain("subgroup-matrix");
    expect(kinds(fakeGpu(info, ["shader-f16", "subgroups"]), "f16")).not.toContain("subgroup-matrix");
    expect(tuningFor(able).matmul(product).kind).not.toBe("subgroup-matrix");
  });

  test("are not what a run in f32 takes, whatever a record says", () => {
    const able = fakeGpu(info, features);
    const [found] = matmulCandidates(able, product, "f16").filter(
      ({ variant }) => variant.kind === "subgroup-matrix",
    );
    const best = {
      [productClass(product, "f16")]: found.name,
      [productClass(product, "f32")]: found.name,
    };
    const kindIn = (precision: Precision, on = able) =>
      tunedFor(on, { ...spec(), precision }, recordOf({ best })).matmul(product).kind;
    expect(kindIn("f16")).toBe("subgroup-matrix");
    expect(kindIn("f32")).toBe("tiled");
    // A GPU without f16 does a run in f16 in f32.
    expect(kindIn("f16", fakeGpu(info, ["subgroups"]))).toBe("tiled");
  });

  test("are tried in tiles that fit the limits", () => {
    const variantsFor = (lanes: number) =>
      matmulCandidates(fakeGpu({ ...info, subgroupMaxSize: lanes } as object, features), product, "f16")
        .map(({ variant }) => variant)
        .filter((variant) => variant.kind === "subgroup-matrix");
    expect(variantsFor(16).length).toBeGreaterThan(0);
    for (const lanes of [16, 64, 128]) {
      for (const variant of variantsFor(lanes)) {
        expect(variant.down * variant.across * lanes).toBeLessThanOrEqual(256);
        expect(subgroupMatrixMemory(variant)).toBeLessThanOrEqual(16384);
      }
    }
  });
});

describe("the tuning of a record", () => {
  const other = matmulCandidates(gpu, product, "f32")[3];
  const [, otherAttention] = attentionCandidates(gpu, 8, "f32");

  test("is the table's where the record knows nothing", () => {
    const tuning = tunedFor(gpu, spec(), recordOf({}));
    expect(tuning.matmul(product)).toEqual(tuningFor(gpu).matmul(product));
    expect(tuning.attention(8)).toEqual(tuningFor(gpu).attention(8));
    expect(tuning.row(64)).toBe("workgroup");
  });

  test("is what the record found, in its class only", () => {
    const best = {
      [productClass(product, "f32")]: other.name,
      "f32 attention 8: 64 rows of 32, 4/2 heads": otherAttention.name,
    };
    const tuning = tunedFor(gpu, spec(), recordOf({ best }));
    expect(tuning.matmul({ ...product, M: 60 })).toEqual(other.variant);
    expect(tuning.matmul({ ...product, layout: "tn" })).toEqual(tuningFor(gpu).matmul(product));
    expect(tuning.attention(8)).toEqual(otherAttention.variant);
  });

  test("is the table's where the record names what this device cannot run, or nobody knows", () => {
    for (const name of ["f32 nt registers 8x8, 64 together, quad", "f32 nt by magic"]) {
      const plain = fakeGpu({ vendor: "nvidia" });
      const tuning = tunedFor(plain, spec(), recordOf({ best: { [productClass(product, "f32")]: name } }));
      expect(tuning.matmul(product)).toEqual(tuningFor(plain).matmul(product));
    }
  });

  test("a stage is tuned when all its classes are known, or the adapter is software", () => {
    const best = Object.fromEntries(shapeClasses(gpu, spec()).map(({ key }) => [key, "x"]));
    expect(isTuned(gpu, spec(), recordOf({ best }))).toBe(true);
    const { [Object.keys(best)[0]]: _, ...rest } = best;
    expect(isTuned(gpu, spec(), recordOf({ best: rest }))).toBe(false);
    const software = fakeGpu({ vendor: "google", architecture: "swiftshader" });
    expect(isTuned(software, spec(), recordOf({}))).toBe(true);
  });

  test("a software adapter is not searched on", async () => {
    const software = fakeGpu({ vendor: "google", architecture: "swiftshader" });
    // Its device can do nothing: whatever is tried on it throws.
    await autotune(software, spec(), recordOf({}));
    await expect(autotune(gpu, spec(), recordOf({}))).rejects.toThrow(TypeError);
  });
});
