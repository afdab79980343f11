// The product by subgroup matrices in every shape of matrix that GPUs are known to have: compiled and validated by
// Dawn's null backend (in Node), which has every feature and computes nothing. Executed, where the GPU can:
// matmul.test.ts.
import { describe, expect, test } from "vitest";
import { openGpu } from "../../web/engine/device.ts";
import { KernelRegistry, ShaderError } from "../../web/engine/kernels.ts";
import {
  matmul,
  subgroupMatrixMemory,
  type Epilogue,
  type Product,
  type SubgroupMatrixVariant,
} from "../../web/engine/matmul.ts";
import { matrixShape } from "../../web/engine/subgroup-matrix.ts";
import { fakeGpu } from "../fixtures/gpus.ts";
import { dawn } from "./device.ts";

const nowhere = { buffer: {} as GPUBuffer };
const halves = { ...nowhere, halves: true };

const EPILOGUES: readonly Epilogue[] = [
  { kind: "store", c: nowhere },
  { kind: "accumulate", c: nowhere },
  { kind: "residual", c: nowhere, residual: nowhere },
  { kind: "swiglu", c: nowhere, act: nowhere },
  { kind: "swiglu-backward", hidden: nowhere, act: nowhere },
];

/** Of NVIDIA and AMD, of NVIDIA besides, of Intel, of Apple and lavapipe. */
const SHAPES = [
  { M: 16, N: 16, K: 16 },
  { M: 16, N: 8, K: 16 },
  { M: 8, N: 16, K: 16 },
  { M: 8, N: 8, K: 8 },
];

const inNode = globalThis.navigator?.gpu === undefined;

describe.runIf(inNode)("compiled and validated, not executed (null backend, in Node)", async () => {
  const gpu = inNode ? await openGpu(await dawn(["backend=null"])) : null;
  const lanes = gpu?.info.subgroupMaxSize ?? 0;
  const compile = (
    variant: SubgroupMatrixVariant,
    layout: Product["layout"],
    epilogue: Epilogue,
    half: boolean,
  ) => {
    const product = { layout, M: 64, N: 64, K: 64 };
    const { kernel } = matmul(variant, product, nowhere, half ? halves : nowhere, epilogue);
    return KernelRegistry.of(gpu!.device).pipeline(kernel);
  };
  const tiles = (matrix: SubgroupMatrixVariant["matrix"]): SubgroupMatrixVariant[] => [
    { kind: "subgroup-matrix", matrix, lanes, down: 1, across: 2, rows: 32 / matrix.M, strips: 1 },
    { kind: "subgroup-matrix", matrix, lanes, down: 2, across: 1, rows: 32 / matrix.M, strips: 2, splits: 2 },
  ];

  describe.each(SHAPES)("$M x $N x $K", (matrix) => {
    test.each(["nt", "nn", "tn"] as const)("%s, every epilogue, operands in f32 and f16", async (layout) => {
      const all = tiles(matrix).flatMap((variant) =>
        EPILOGUES.flatMap((epilogue) =>
          [false, true].map((half) => compile(variant, layout, epilogue, half)),
        ),
      );
      await Promise.all(all);
    });
  });

  test("what the rules forbid is found", async () => {
    const [tile] = tiles(SHAPES[0]);
    const halfASubgroup = compile({ ...tile, lanes: lanes / 2, across: 1 }, "nt", EPILOGUES[0], false);
    await expect(halfASubgroup).rejects.toThrow(ShaderError);
  });

  test("workgroup memory is what the variant says", async () => {
    const limit = gpu!.device.limits.maxComputeWorkgroupStorageSize;
    const [tile] = tiles(SHAPES[0]);
    const variants = [1, 2, 3, 4, 5].flatMap((rows) => [1, 2].map((strips) => ({ ...tile, rows, strips })));
    const compiles = (variant: SubgroupMatrixVariant) =>
      compile(variant, "nn", EPILOGUES[0], false).then(
        () => true,
        () => false,
      );
    const fits = variants.map((variant) => subgroupMatrixMemory(variant) <= limit);
    expect(await Promise.all(variants.map(compiles))).toEqual(fits);
    expect(new Set(fits).size).toBe(2);
  });
});

describe("what an adapter reports", () => {
  const all = ["shader-f16", "subgroups", "chromium-experimental-subgroup-matrix"];
  const config = (componentType: string, resultComponentType: string, M: number, N: number, K: number) => ({
    componentType,
    resultComponentType,
    M,
    N,
    K,
  });
  const shapeOf = (subgroupMatrixConfigs: readonly object[], features = all) =>
    matrixShape(fakeGpu({ subgroupMatrixConfigs } as object, features));

  test("the largest of f16 with sums in f32 is taken", () => {
    const configs = [
      config("f16", "f16", 16, 16, 32),
      config("f16", "f32", 16, 8, 8),
      config("f16", "f32", 16, 8, 16),
      config("u8", "u32", 16, 16, 32),
    ];
    expect(shapeOf(configs)).toEqual({ M: 16, N: 8, K: 16 });
  });

  test("sizes that the kernel is not made for, and sums in f16, are left", () => {
    expect(shapeOf([config("f16", "f32", 16, 12, 16), config("f16", "f32", 64, 16, 16)])).toBeNull();
    expect(shapeOf([config("f16", "f16", 8, 8, 8), config("f32", "f32", 8, 8, 8)])).toBeNull();
  });

  test("without the feature, or without f16, there is none", () => {
    const configs = [config("f16", "f32", 8, 8, 8)];
    expect(shapeOf(configs)).not.toBeNull();
    for (const missing of all.filter((feature) => feature !== "subgroups")) {
      expect(
        shapeOf(
          configs,
          all.filter((feature) => feature !== missing),
        ),
      ).toBeNull();
    }
    expect(matrixShape(fakeGpu({}, all))).toBeNull();
  });
});
