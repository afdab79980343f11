// What a GPU says of the subgroup matrices it multiplies: an experiment of Chromium's, behind a feature, of which
// WebGPU's types do not know yet.
// Not here: the kernel (shaders/matmul-subgroup-matrix.wgsl), who takes it (autotune/candidates.ts).
import type { Gpu } from "./device.ts";

export const SUBGROUP_MATRIX = "chromium-experimental-subgroup-matrix";

/** Left matrices of M x K values, right ones of K x N. */
export interface MatrixShape {
  readonly M: number;
  readonly N: number;
  readonly K: number;
}

/** As GPUAdapterInfo has it in Chromium and Dawn; types are named as in WGSL. */
interface SubgroupMatrixConfig extends MatrixShape {
  readonly componentType: string;
  readonly resultComponentType: string;
}

/** The largest matrices of f16 with sums in f32 that the kernel can be made of; null where the GPU has none. */
export function matrixShape({ device, info }: Pick<Gpu, "device" | "info">): MatrixShape | null {
  if (!device.features.has(SUBGROUP_MATRIX) || !device.features.has("shader-f16")) return null;
  const { subgroupMatrixConfigs = [] } = info as { subgroupMatrixConfigs?: readonly SubgroupMatrixConfig[] };
  const shapes = Array.from(subgroupMatrixConfigs)
    .filter(
      ({ componentType, resultComponentType }) => componentType === "f16" && resultComponentType === "f32",
    )
    .map(({ M, N, K }) => ({ M, N, K }))
    .filter(({ M, N, K }) => [M, N, K].every((size) => SIZES.includes(size)));
  const multiplications = ({ M, N, K }: MatrixShape) => M * N * K;
  return shapes.sort((a, b) => multiplications(b) - multiplications(a))[0] ?? null;
}

/** In eights, as loads from workgroup memory want it, and parts of the kernel's 32 of K and of columns. */
const SIZES: readonly number[] = [8, 16, 32];
