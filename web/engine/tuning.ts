// Which variants of the kernels run on this GPU: the table by adapter.
// Not here: what a variant is (matmul.ts, attention.ts).
import type { AttentionVariant } from "./attention.ts";
import type { Gpu } from "./device.ts";
import type { MatmulVariant, Product } from "./matmul.ts";

export interface Tuning {
  readonly matmul: (product: Product) => MatmulVariant;
  /** FLOPs that a dispatch may take: what the GPU does in about 100 ms at its slowest. */
  readonly longestDispatch: number;
  /** Parts that a weight gradient's K is split into. */
  readonly splits: (product: Product) => number;
  /** Of a head width. */
  readonly attention: (headWidth: number) => AttentionVariant;
  /** Who works on a row of a norm or a softmax: one invocation, or a workgroup. */
  readonly row: "alone" | "workgroup";
}

/** Variants by what the adapter is. */
export function tuningFor({ device, info }: Gpu): Tuning {
  if (isSoftware(info)) {
    // A software adapter runs an invocation's loads one by one, and barriers cost it most: what counts is how few
    // loads there are.
    const shares = device.features.has("subgroups");
    return {
      matmul: () => ({ kind: "registers", rows: 16, quads: shares ? 2 : 4, rowGroups: 4, shares }),
      attention: (headWidth) => ({
        rows: headWidth > 64 ? 1 : headWidth > 32 ? 2 : 4,
        rowGroups: 1,
        share: shares ? "quad" : "none",
      }),
      row: "alone",
      // Nobody waits for the screen of a GPU that is none.
      longestDispatch: Infinity,
      splits: () => 1,
    };
  }
  return {
    matmul: () => ({ kind: "tiled", rows: 8, quads: 2, side: 8 }),
    attention: () => ({ rows: 1, rowGroups: 16, share: "workgroup" }),
    row: "workgroup",
    longestDispatch: 0.1 * SLOWEST_FLOPS,
    splits: ({ M, N, K }) => {
      const workgroups = Math.ceil(M / 64) * Math.ceil(N / 64);
      return Math.max(1, Math.min(Math.floor(ENOUGH_WORKGROUPS / workgroups), Math.floor(K / 256)));
    },
  };
}

/** What a small integrated GPU reaches, FLOP/s. */
const SLOWEST_FLOPS = 100e9;
/** Fewer workgroups than this leave cores of a large GPU idle. */
const ENOUGH_WORKGROUPS = 256;

/** SwiftShader and lavapipe compute on the CPU. Firefox says no more of an adapter than that it is such a one. */
export function isSoftware(info: GPUAdapterInfo): boolean {
  const { vendor, architecture, device, description, isFallbackAdapter } = info;
  if (isFallbackAdapter) return true;
  return /swiftshader|llvmpipe|lavapipe|software/i.test(
    [vendor, architecture, device, description].join(" "),
  );
}
