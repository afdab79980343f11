// The canonical flat parameter space: layout, the shares of stages, and initial values.
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ModelConfig } from "../../core/model/config.ts";
import {
  borrowsEmbedding,
  EMBEDDING,
  FINAL_NORM,
  HEAD,
  initialTensor,
  ownedSegment,
  ownedTensors,
  parameterSpace,
  stageRange,
  TENSOR_ALIGNMENT,
} from "../../core/model/parameters.ts";
import { smallModel } from "../fixtures/models.ts";

const smolLm = ModelConfig.parse({
  layers: 30,
  width: 576,
  heads: 9,
  kvHeads: 3,
  hidden: 1536,
  context: 2048,
  vocab: 49152,
  tied: true,
});

const model = fc
  .record({
    layers: fc.integer({ min: 1, max: 8 }),
    kvHeads: fc.integer({ min: 1, max: 3 }),
    perGroup: fc.integer({ min: 1, max: 3 }),
    quarter: fc.integer({ min: 1, max: 5 }),
    hidden: fc.integer({ min: 1, max: 22 }).map((quads) => 4 * quads),
    vocab: fc.integer({ min: 1, max: 300 }),
    tied: fc.boolean(),
  })
  .map(({ layers, kvHeads, perGroup, quarter, hidden, vocab, tied }) => {
    const heads = kvHeads * perGroup;
    return smallModel({ layers, kvHeads, heads, width: heads * 4 * quarter, hidden, vocab, tied });
  });

/** A model and the blocks at which it is cut into stages. */
const cutModel = model.chain((model) =>
  fc.record({
    model: fc.constant(model),
    cuts: fc.uniqueArray(fc.integer({ min: 1, max: Math.max(1, model.layers - 1) }), {
      maxLength: model.layers - 1,
    }),
  }),
);

describe("parameterSpace", () => {
  test("SmolLM2-135M has 134,515,008 parameters", () => {
    expect(parameterSpace(smolLm).parameters).toBe(134_515_008);
  });

  test("an untied model also has a head", () => {
    const { parameters, tensors } = parameterSpace({ ...smolLm, tied: false });
    expect(parameters).toBe(134_515_008 + 49152 * 576);
    expect(tensors.at(-1)!.name).toBe(HEAD);
  });

  test("tensors are in order and closer than the alignment; aligned, or right behind what they are multiplied with", () => {
    fc.assert(
      fc.property(model, (model) => {
        const { tensors, size, parameters } = parameterSpace(model);
        let end = 0;
        for (const tensor of tensors) {
          const follows = /\.(k_proj|v_proj|up_proj)\./.test(tensor.name);
          expect(follows ? tensor.offset - end : tensor.offset % TENSOR_ALIGNMENT).toBe(0);
          expect(tensor.offset - end).toBeGreaterThanOrEqual(0);
          expect(tensor.offset - end).toBeLessThan(TENSOR_ALIGNMENT);
          expect(tensor.size).toBe(tensor.shape.reduce((product, n) => product * n, 1));
          expect(tensor.decay).toBe(tensor.shape.length === 2);
          end = tensor.offset + tensor.size;
        }
        expect(size - end).toBeLessThan(TENSOR_ALIGNMENT);
        expect(size % TENSOR_ALIGNMENT).toBe(0);
        expect(tensors.reduce((sum, { size }) => sum + size, 0)).toBe(parameters);
        expect(new Set(tensors.map(({ name }) => name)).size).toBe(tensors.length);
      }),
    );
  });

  test("grouped queries make the key and value projections narrower", () => {
    const shapes = new Map(parameterSpace(smolLm).tensors.map(({ name, shape }) => [name, shape]));
    expect(shapes.get("model.layers.29.self_attn.q_proj.weight")).toEqual([576, 576]);
    expect(shapes.get("model.layers.29.self_attn.k_proj.weight")).toEqual([192, 576]);
    expect(shapes.get("model.layers.29.mlp.down_proj.weight")).toEqual([576, 1536]);
  });
});

describe("stages", () => {
  test("tile the space without gap or overlap, however the model is cut", () => {
    fc.assert(
      fc.property(cutModel, ({ model, cuts }) => {
        const space = parameterSpace(model);
        const ends = [...cuts.filter((cut) => cut < model.layers).sort((a, b) => a - b), model.layers];
        const stages = ends.map((last, i) => stageRange(model, i === 0 ? 0 : ends[i - 1], last));
        let end = 0;
        for (const stage of stages) {
          const segment = ownedSegment(space, stage);
          expect(segment.start).toBe(end);
          end = segment.end;
          for (const { offset, size } of ownedTensors(space, stage)) {
            expect(offset).toBeGreaterThanOrEqual(segment.start);
            expect(offset + size).toBeLessThanOrEqual(segment.end);
          }
        }
        expect(end).toBe(space.size);
        expect(stages.flatMap((stage) => ownedTensors(space, stage))).toEqual(space.tensors);
      }),
    );
  });

  test("the first stage embeds, the last one has the head and borrows a tied embedding it does not own", () => {
    const tied = smallModel({ layers: 2, tied: true });
    const [first, last] = [stageRange(tied, 0, 1), stageRange(tied, 1, 2)];
    const names = (stage: typeof first) => ownedTensors(parameterSpace(tied), stage).map(({ name }) => name);
    expect(names(first)).toContain(EMBEDDING);
    expect(names(first)).not.toContain(FINAL_NORM);
    expect(names(last)).toContain(FINAL_NORM);
    expect(names(last)).not.toContain(EMBEDDING);
    expect([first, last].map((stage) => borrowsEmbedding(tied, stage))).toEqual([false, true]);
    expect(borrowsEmbedding(tied, stageRange(tied, 0, 2))).toBe(false);
    expect(borrowsEmbedding(smallModel({ layers: 2 }), stageRange(smallModel({ layers: 2 }), 1, 2))).toBe(
      false,
    );
  });
});

describe("initialTensor", () => {
  const { tensors } = parameterSpace(smolLm);
  const find = (end: string) => tensors.find(({ name }) => name.endsWith(end))!;

  test.each([
    ["0.self_attn.q_proj.weight", 1 / Math.sqrt(576)],
    ["0.mlp.gate_proj.weight", 1 / Math.sqrt(576)],
    ["0.self_attn.o_proj.weight", 1 / Math.sqrt(576 * 60)],
    ["0.mlp.down_proj.weight", 1 / Math.sqrt(1536 * 60)],
  ])("%s: mean 0, its standard deviation, within sqrt(3) of them", (end, deviation) => {
    const values = initialTensor(smolLm, find(end), 1);
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
    expect(Math.abs(mean)).toBeLessThan((5 * deviation) / Math.sqrt(values.length));
    expect(Math.sqrt(variance) / deviation).toBeCloseTo(1, 2);
    const largest = values.reduce((largest, value) => Math.max(largest, Math.abs(value)), 0);
    expect(largest).toBeLessThanOrEqual(Math.fround(Math.sqrt(3) * deviation));
  });

  test("embedding and head have standard deviation 0.02; gains are 1", () => {
    const untied = smallModel({ vocab: 500, width: 48 });
    for (const tensor of parameterSpace(untied).tensors) {
      const values = initialTensor(untied, tensor, 3);
      if (!tensor.decay) expect(values.every((value) => value === 1)).toBe(true);
      if (tensor.name !== EMBEDDING && tensor.name !== HEAD) continue;
      const meanSquare = values.reduce((sum, value) => sum + value ** 2, 0) / values.length;
      expect(Math.sqrt(meanSquare)).toBeCloseTo(0.02, 3);
    }
  });

  test("depends on the seed and the tensor's name alone", () => {
    const tensor = find("3.self_attn.k_proj.weight");
    const values = initialTensor(smolLm, tensor, 1);
    expect(initialTensor(smolLm, { ...tensor, offset: 0 }, 1)).toEqual(values);
    expect(initialTensor(smolLm, tensor, 2)).not.toEqual(values);
    expect(initialTensor(smolLm, find("4.self_attn.k_proj.weight"), 1)).not.toEqual(values);
    // The same on every machine, for ever: runs that start from a seed depend on it.
    expect([...values.subarray(0, 3)]).toEqual([
      0.0494750440120697, -0.06347174197435379, 0.0031651086173951626,
    ]);
  });
});
