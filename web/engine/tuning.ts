// Which variants of the kernels run on this GPU: the table by adapter, for all that no search has measured.
// Not here: what a variant is (matmul.ts, attention.ts), and the search (autotune.ts).
import { attentionMemory, type AttentionVariant } from "./attention.ts";
import type { Gpu } from "./device.ts";
import type { MatmulVariant, Product } from "./matmul.ts";
import type { RowVariant } from "./operations.ts";

export interface Tuning {
  readonly matmul: (product: Product) => MatmulVariant;
  /** FLOPs that a dispatch may take: what the GPU does in about 100 ms at its slowest. */
  readonly longestDispatch: number;
  /** Parts that a weight gradient's K is split into. */
  readonly splits: (product: Product) => number;
  /** Of a head width. */
  readonly attention: (headWidth: number) => AttentionVariant;
  /** Who works on a row of so many values, of a norm or a softmax. */
  readonly row: (length: number) => RowVariant;
}

/** 64 sums an invocation and what they are made of: about 100 registers. */
const LARGE_TILES: MatmulVariant = { kind: "tiled", rows: 8, quads: 2, side: 8 };
/** 32 sums an invocation, about 60 registers. */
const SMALL_TILES: MatmulVariant = { kind: "tiled", rows: 4, quads: 2, side: 8 };

/** By vendor, as browsers name them: what differs is how many registers an invocation can have. */
const TILES = new Map<string, (architecture: string) => MatmulVariant>([
  // 255 registers an invocation.
  ["nvidia", () => LARGE_TILES],
  // 256 vector registers a lane.
  ["amd", () => LARGE_TILES],
  // 128 registers an invocation.
  ["apple", () => LARGE_TILES],
  // A hardware thread's 128 registers of 32 bytes are 64 values for each of 16 invocations; from Xe2 on, of 64 bytes.
  ["intel", (architecture) => (/^xe-[23]/.test(architecture) ? LARGE_TILES : SMALL_TILES)],
  // The more registers an invocation takes, the fewer waves stay to hide the wait for memory.
  ["qualcomm", () => SMALL_TILES],
]);

/** Variants by what the adapter is. */
export function tuningFor(gpu: Gpu): Tuning {
  return isSoftware(gpu.info) ? softwareTuning(gpu) : hardwareTuning(gpu);
}

/**
 * A software adapter runs an invocation's loads one by one, and barriers cost it most: what counts is how few loads
 * there are. With subgroups, four invocations share theirs.
 */
function softwareTuning({ device }: Gpu): Tuning {
  const shares = device.features.has("subgroups");
  const tile = { kind: "registers", rows: 16, quads: shares ? 2 : 4, rowGroups: 4, shares } as const;
  return {
    // Taller tiles take longer to compile than small products would save.
    matmul: ({ M, N, K }) =>
      shares && M * N * K >= LARGE_PRODUCT ? { ...tile, rows: 32, rowGroups: 2 } : tile,
    attention: (headWidth) => ({
      rows: headWidth > 64 ? 1 : headWidth > 32 ? 2 : 4,
      rowGroups: 1,
      share: shares ? "quad" : "none",
    }),
    row: (length) => (length > LONGEST_ROW_ALONE ? "workgroup" : "alone"),
    // Nobody waits for the screen of a GPU that is none.
    longestDispatch: Infinity,
    splits: () => 1,
  };
}

function hardwareTuning({ device, info }: Gpu): Tuning {
  // One that is not in the table has the registers of its time.
  const tiles = TILES.get(info.vendor)?.(info.architecture) ?? LARGE_TILES;
  return {
    matmul: () => tiles,
    attention: (headWidth) => {
      const staged: AttentionVariant = { rows: 1, rowGroups: 16, share: "workgroup" };
      const fits = attentionMemory(staged, headWidth, "f32") <= device.limits.maxComputeWorkgroupStorageSize;
      return fits ? staged : { ...staged, share: "none" };
    },
    row: () => "workgroup",
    longestDispatch: 0.1 * SLOWEST_FLOPS,
    splits: ({ M, N, K }) => {
      const workgroups = Math.ceil(M / 64) * Math.ceil(N / 64);
      return Math.max(1, Math.min(Math.floor(ENOUGH_WORKGROUPS / workgroups), Math.floor(K / 256)));
    },
  };
}

/** Multiplications from which on a product is worth a pipeline of its own. */
const LARGE_PRODUCT = 2 ** 23;
/**
 * lavapipe ends an invocation's loops, without a word, after 65,535 iterations of all of them together (Mesa's
 * LP_MAX_TGSI_LOOP_ITERATIONS): a vocabulary of 49,152 has more in two passes. A row is passed over three times at most.
 */
const LONGEST_ROW_ALONE = 2 ** 14;
/** What a small integrated GPU reaches, FLOP/s. */
const SLOWEST_FLOPS = 100e9;
/** Fewer workgroups than this leave cores of a large GPU idle. */
const ENOUGH_WORKGROUPS = 256;

/**
 * SwiftShader, lavapipe and WARP compute on the CPU. Firefox says no more of an adapter than that it is such a one.
 */
export function isSoftware(info: GPUAdapterInfo): boolean {
  const { vendor, architecture, device, description, isFallbackAdapter } = info;
  if (isFallbackAdapter) return true;
  return /swiftshader|llvmpipe|lavapipe|software|\bwarp\b/i.test(
    [vendor, architecture, device, description].join(" "),
  );
}
