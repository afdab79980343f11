// What a stage is tuned for: its shape classes, the candidates of each, and the tuning made of a record.
import { describe, expect, test } from "vitest";
import { stageRange } from "../../core/model/parameters.ts";
import { attentionMemory } from "../../web/engine/attention.ts";
import { autotune, isTuned, tunedFor } from "../../web/engine/autotune/autotune.ts";
import { attentionCandidates, matmulCandidates } from "../../web/engine/autotune/candidates.ts";
import type { Product } from "../../web/engine/matmul.ts";
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
    weights: "f32" as const,
    optimizer,
  };
}

const recordOf = (known: Partial<KnownTuning>) =>
  new TuningRecord({ ...NOTHING_KNOWN, ...known }, async () => {});

describe("shape classes", () => {
  test("are those of a microbatch's operations, costliest first", () => {
    const classes = shapeClasses(gpu, spec());
    const keys = classes.map(({ key }) => key);
    expect(keys[0]).toBe("nt 64x128x32");
    expect(keys).toContain("nt 64x256x32");
    expect(keys).toContain("attention 8: 64 rows of 32, 4/2 heads");
    expect(new Set(keys).size).toBe(keys.length);
    const costs = classes.map(({ cost }) => cost);
    expect(costs).toEqual(costs.toSorted((a, b) => b - a));
  });

  test("a stage without the head does not have the head's", () => {
    expect(shapeClasses(gpu, spec(0, 1)).map(({ key }) => key)).not.toContain("nt 64x256x32");
  });

  test("sizes that are about the same are one class", () => {
    const of = (M: number) => productClass({ ...product, M });
    expect(of(1000)).toBe(of(1024));
    expect(of(1024)).toBe(of(1400));
    expect(of(1024)).not.toBe(of(1500));
    expect(productClass({ ...product, layout: "nn" })).not.toBe(productClass(product));
  });
});

describe("candidates", () => {
  test("the table's comes first, and none comes twice", () => {
    const candidates = matmulCandidates(gpu, product);
    expect(candidates[0].variant).toEqual(tuningFor(gpu).matmul(product));
    expect(new Set(candidates.map(({ variant }) => JSON.stringify(variant))).size).toBe(candidates.length);
    expect(candidates).toHaveLength(12);
  });

  test("none needs a feature or more workgroup memory than the device has", () => {
    const plain = fakeGpu({ vendor: "nvidia" });
    expect(matmulCandidates(plain, product)).toHaveLength(8);
    for (const headWidth of [4, 64, 128, 256]) {
      const variants = attentionCandidates(plain, headWidth).map(({ variant }) => variant);
      expect(variants[0]).toEqual(tuningFor(plain).attention(headWidth));
      expect(variants.map(({ share }) => share)).not.toContain("quad");
      expect(Math.max(...variants.map((variant) => attentionMemory(variant, headWidth)))).toBeLessThanOrEqual(
        16384,
      );
    }
  });
});

describe("the tuning of a record", () => {
  const other = matmulCandidates(gpu, product)[3];
  const [, otherAttention] = attentionCandidates(gpu, 8);

  test("is the table's where the record knows nothing", () => {
    const tuning = tunedFor(gpu, spec(), recordOf({}));
    expect(tuning.matmul(product)).toEqual(tuningFor(gpu).matmul(product));
    expect(tuning.attention(8)).toEqual(tuningFor(gpu).attention(8));
    expect(tuning.row(64)).toBe("workgroup");
  });

  test("is what the record found, in its class only", () => {
    const best = {
      [productClass(product)]: other.name,
      "attention 8: 64 rows of 32, 4/2 heads": otherAttention.name,
    };
    const tuning = tunedFor(gpu, spec(), recordOf({ best }));
    expect(tuning.matmul({ ...product, M: 60 })).toEqual(other.variant);
    expect(tuning.matmul({ ...product, layout: "tn" })).toEqual(tuningFor(gpu).matmul(product));
    expect(tuning.attention(8)).toEqual(otherAttention.variant);
  });

  test("is the table's where the record names what this device cannot run, or nobody knows", () => {
    for (const name of ["nt registers 8x8, 64 together, quad", "nt by magic"]) {
      const plain = fakeGpu({ vendor: "nvidia" });
      const tuning = tunedFor(plain, spec(), recordOf({ best: { [productClass(product)]: name } }));
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
