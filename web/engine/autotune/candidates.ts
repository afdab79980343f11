// The variants worth trying on a GPU, the table's first, each with the name it is remembered by.
// Not here: which of them is fastest (search.ts).
import type { Precision } from "../../../core/plan/memory.ts";
import { attentionMemory, type AttentionVariant } from "../attention.ts";
import type { Gpu } from "../device.ts";
import {
  subgroupMatrixMemory,
  type MatmulVariant,
  type Product,
  type SubgroupMatrixVariant,
} from "../matmul.ts";
import { matrixShape } from "../subgroup-matrix.ts";
import { tuningFor } from "../tuning.ts";

export interface Candidate<Variant> {
  /** Of the variant and of the kernel it belongs to: what is wrong in one layout may be right in another. */
  readonly name: string;
  readonly variant: Variant;
}

/** Rows and quads of columns an invocation makes in registers. */
const REGISTER_TILES = [
  [4, 2],
  [8, 2],
  [4, 4],
  [16, 2],
] as const;

/** All fit the 16 KiB of workgroup memory and the 256 invocations that WebGPU guarantees. */
const WORKGROUP_TILES: readonly MatmulVariant[] = [8, 16].flatMap((side) =>
  [4, 8].map((rows) => ({ kind: "tiled", rows, quads: 2, side }) as const),
);

/** Subgroups down and across a workgroup; rows and strips of columns that each makes. */
const SUBGROUP_TILES = [
  [2, 2, 32, 1],
  [2, 2, 32, 2],
  [2, 2, 64, 2],
  [1, 2, 32, 1],
] as const;

/** Where the GPU has subgroup matrices, the tiles that fit its limits. */
function subgroupMatrixVariants(gpu: Gpu): SubgroupMatrixVariant[] {
  const matrix = matrixShape(gpu);
  const { subgroupMaxSize: lanes } = gpu.info;
  if (matrix === null || lanes === undefined) return [];
  const { maxComputeInvocationsPerWorkgroup, maxComputeWorkgroupStorageSize } = gpu.device.limits;
  return SUBGROUP_TILES.map(
    ([down, across, rows, strips]) =>
      ({ kind: "subgroup-matrix", matrix, lanes, down, across, rows: rows / matrix.M, strips }) as const,
  ).filter(
    (variant) =>
      variant.down * variant.across * lanes <= maxComputeInvocationsPerWorkgroup &&
      subgroupMatrixMemory(variant) <= maxComputeWorkgroupStorageSize,
  );
}

/** Subgroup matrices round what they multiply to f16: only a run in f16 may have them. */
export function matmulCandidates(
  gpu: Gpu,
  product: Product,
  precision: Precision,
): Candidate<MatmulVariant>[] {
  const sharing = gpu.device.features.has("subgroups") ? [false, true] : [false];
  const inRegisters = sharing.flatMap((shares) =>
    REGISTER_TILES.map(
      ([rows, quads]) => ({ kind: "registers", rows, quads, rowGroups: 16, shares }) as const,
    ),
  );
  return named(
    [
      tuningFor(gpu).matmul(product),
      ...(precision === "f16" ? subgroupMatrixVariants(gpu) : []),
      ...WORKGROUP_TILES,
      ...inRegisters,
    ],
    (variant) => `${precision} ${product.layout} ${nameOfMatmul(variant)}`,
  );
}

/** Values of each array of rows that an invocation can hope to keep in registers, when it has more than one row. */
const ROW_VALUES = 128;

export function attentionCandidates(
  gpu: Gpu,
  headWidth: number,
  precision: Precision,
): Candidate<AttentionVariant>[] {
  const { features, limits } = gpu.device;
  const variants: AttentionVariant[] = [1, 2, 4]
    .filter((rows) => rows === 1 || rows * headWidth <= ROW_VALUES)
    .flatMap((rows) =>
      (["workgroup", "quad", "none"] as const).map((share) => ({ rows, rowGroups: 16, share })),
    );
  const runnable = variants.filter(
    (variant) =>
      (variant.share !== "quad" || features.has("subgroups")) &&
      attentionMemory(variant, headWidth, precision) <= limits.maxComputeWorkgroupStorageSize,
  );
  return named(
    [tuningFor(gpu).attention(headWidth), ...runnable],
    ({ rows, rowGroups, share }) =>
      `${precision} attention ${headWidth}: ${rows} rows, ${4 * rowGroups} together, ${share}`,
  );
}

function nameOfMatmul(variant: MatmulVariant): string {
  if (variant.kind === "subgroup-matrix") {
    const { matrix, lanes, down, across, rows, strips } = variant;
    const own = `${rows * matrix.M}x${strips * 32}`;
    return `subgroup matrices ${matrix.M}x${matrix.N}x${matrix.K}, ${own} in ${down}x${across} of ${lanes}`;
  }
  const tile = `${variant.rows}x${4 * variant.quads}`;
  if (variant.kind === "tiled") return `tiled ${tile}, ${variant.side ** 2} together`;
  return `registers ${tile}, ${4 * variant.rowGroups} together, ${variant.shares ? "quad" : "none"}`;
}

/** Without those that a name says are there already. */
function named<Variant>(
  variants: readonly Variant[],
  nameOf: (variant: Variant) => string,
): Candidate<Variant>[] {
  const byName = new Map<string, Variant>();
  for (const variant of variants) {
    const name = nameOf(variant);
    if (!byName.has(name)) byName.set(name, variant);
  }
  return Array.from(byName, ([name, variant]) => ({ name, variant }));
}
