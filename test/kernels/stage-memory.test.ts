// What a stage takes of the GPU, and what it says when that is too much.
import { beforeEach, describe, expect, test } from "vitest";
import { parameterSpace, TENSOR_ALIGNMENT } from "../../core/model/parameters.ts";
import { Random } from "../../core/random.ts";
import { DoesNotFit, type Gpu } from "../../web/engine/device.ts";
import { planMemory, stageBytes, WINDOW_ALIGNMENT, type Precision } from "../../core/plan/memory.ts";
import { stageOn } from "../../web/engine/memory.ts";
import { Stage } from "../../web/engine/stage.ts";
import { expectClose, uniformSingle } from "../fixtures/arrays.ts";
import { smallModel } from "../fixtures/models.ts";
import { gpu } from "./device.ts";
import { specOf } from "./stages.ts";

let limits: Partial<GPUSupportedLimits> = {};
const made: GPUBufferDescriptor[] = [];

/** The same GPU under `limits`; the buffers made on it are noted down in `made`. */
const watched: Gpu = {
  ...gpu,
  device: new Proxy(gpu.device, {
    get(target, key) {
      if (key === "limits") {
        const { maxBufferSize, maxStorageBufferBindingSize } = target.limits;
        return { maxBufferSize, maxStorageBufferBindingSize, ...limits };
      }
      if (key === "createBuffer") {
        return (descriptor: GPUBufferDescriptor) => {
          // Shapes are the device's, not the stage's: a few bytes that all stages share.
          if (descriptor.label !== "shape") made.push(descriptor);
          return target.createBuffer(descriptor);
        };
      }
      const value: unknown = Reflect.get(target, key, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  }),
};

beforeEach(() => {
  limits = {};
  made.length = 0;
});

describe("stageBytes", () => {
  test.each([
    ["whole", false, 0, 3, "f32"],
    ["first", true, 0, 1, "f32"],
    ["middle", false, 1, 2, "f16"],
    ["last, with a borrowed embedding", true, 2, 3, "f32"],
    ["last, with a borrowed embedding", true, 2, 3, "f16"],
    ["middle, its backward in halves", false, 1, 2, "f32", true],
    ["first, its backward in halves", true, 0, 2, "f16", true],
  ] as [string, boolean, number, number, Precision, boolean?][])(
    "is what is allocated: %s, tied %s, blocks %i-%i, in %s",
    async (_, tied, first, last, precision, split) => {
      const model = smallModel({ layers: 3, tied });
      const asked = specOf(model, { first, last, microbatch: 2, slots: 3, precision, split });
      const spec = stageOn(gpu.device, asked);
      const stage = await Stage.create(watched, spec);
      expect(made.reduce((bytes, { size }) => bytes + size, 0)).toBe(stageBytes(spec));
      stage.destroy();
    },
  );
});

test("in f16 there is a copy of the weights, and queries, keys and values take half, where the GPU has f16", () => {
  const [single, half] = (["f32", "f16"] as const).map((precision) =>
    specOf(smallModel({ layers: 2 }), { precision, slots: 2 }),
  );
  const [before, after] = [planMemory(single), planMemory(half)];
  expect(after.get("halves")).toBe(before.get("parameters")! / 2);
  for (const [name, bytes] of before) {
    if (name.endsWith(".qkv")) expect(after.get(name)).toBe(bytes / 2);
    // Shared scratch, where they are projected first, is large enough as it is.
    else expect(after.get(name)).toBe(bytes);
  }
  expect(after.size).toBe(before.size + 1);
  const lacksHalves = { features: new Set(["subgroups"]) } as unknown as GPUDevice;
  expect(stageBytes(stageOn(lacksHalves, half))).toBe(stageBytes(single));
});

test("a backward in halves takes three arrays more a slot and block, and goes without recompute", () => {
  const model = smallModel({ layers: 2 });
  const [whole, split] = [false, true].map(
    (split) => new Map(planMemory(specOf(model, { microbatch: 2, slots: 2, split }))),
  );
  const R = 2 * model.context;
  for (const slot of [0, 1]) {
    for (const block of [0, 1]) {
      const more = { dOutput: model.width, dMiddle: model.width, act: model.hidden };
      for (const [name, width] of Object.entries(more)) {
        whole.set(`slot${slot}.block${block}.${name}`, 4 * R * width);
      }
    }
  }
  expect(new Map([...split].sort())).toEqual(new Map([...whole].sort()));
  expect(() => planMemory(specOf(model, { split: true, recompute: true }))).toThrow("drop one");
});

test("a step allocates nothing", async () => {
  const model = smallModel({ layers: 3 });
  const stage = await Stage.create(watched, specOf(model, { microbatch: 2 }));
  made.length = 0;
  const tokens = new Uint32Array(2 * model.context);
  stage.zero();
  stage.setTokens(0, tokens, tokens);
  stage.forward(0);
  stage.backward(0);
  await stage.sums();
  await stage.lossSum();
  stage.apply({ step: 1, scale: 1, lr: 0.1 });
  await stage.gradient();
  expect(made).toEqual([]);
  stage.destroy();
});

describe("what does not fit is refused, with what to do", () => {
  const model = smallModel();

  test("a buffer over the largest size", async () => {
    const { size } = parameterSpace(model);
    limits = { maxBufferSize: size * 4 - 4 };
    const create = Stage.create(watched, specOf(model));
    await expect(create).rejects.toThrow(DoesNotFit);
    await expect(create).rejects.toThrow(
      `the buffer 'parameters' needs maxBufferSize of ${size * 4}, this GPU's limit is ${size * 4 - 4}: use more stages or a smaller model`,
    );
  });

  test("activations over the largest binding", async () => {
    const spec = specOf(smallModel({ hidden: 1000 }), { microbatch: 4 });
    limits = { maxStorageBufferBindingSize: 4 * 5 * 1000 * 4 - 4 };
    const create = Stage.create(watched, spec);
    await expect(create).rejects.toThrow("needs maxStorageBufferBindingSize of 80000");
  });

  test("a tensor over the largest binding", async () => {
    const spec = specOf(smallModel({ vocab: 8193, context: 1 }));
    limits = { maxStorageBufferBindingSize: 8192 * 16 * 4 };
    await expect(Stage.create(watched, spec)).rejects.toThrow(
      "the tensor 'model.embed_tokens.weight' needs maxStorageBufferBindingSize of 524352",
    );
  });
});

test("parameters over several bindings: norm and optimizer cover every window", async () => {
  // About 2.3 windows of the smallest size there is.
  const model = smallModel({ layers: 2, width: 128, hidden: 640, vocab: 11 });
  limits = { maxStorageBufferBindingSize: WINDOW_ALIGNMENT * 4 };
  const stage = await Stage.create(watched, specOf(model));
  const { size, tensors } = parameterSpace(model);
  expect(size).toBeGreaterThan(2 * WINDOW_ALIGNMENT);
  // Away from 0, where AdamW's first step is lr times the sign, up to eps.
  const gradient = uniformSingle(new Random(1), size).map((value) => value + Math.sign(value));
  stage.setGradient(Float32Array.from(gradient), 0);
  stage.write("parameters", new Float32Array(size).fill(1), 0);
  const squares = gradient.reduce((sum, value) => sum + value * value, 0);
  expectClose([(await stage.sums()).squaredNorm], [squares], { relative: 1e-6 });
  stage.apply({ step: 1, scale: 1, lr: 0.5 });
  const expected = new Float64Array(size).fill(1);
  for (const { offset, size, decay } of tensors) {
    const padded = Math.ceil(size / TENSOR_ALIGNMENT) * TENSOR_ALIGNMENT;
    for (let i = offset; i < offset + padded; i++) {
      expected[i] = 1 - (decay ? 0.5 * 0.1 : 0) - 0.5 * Math.sign(gradient[i]);
    }
  }
  expectClose(await stage.read("parameters"), expected, { relative: 1e-6 });
  stage.destroy();
});
