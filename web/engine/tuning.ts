// Which variants of the kernels run on this GPU: the table by adapter.
// Not here: what a variant is (matmul.ts, attention.ts).
import type { AttentionVariant } from "./attention.ts";
import type { Gpu } from "./device.ts";
import type { MatmulVariant, Product } from "./matmul.ts";

export interface Tuning {
  readonly matmul: (product: Product) => MatmulVariant;
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
      matmul: () => ({ kind: "registers", rows: 16, quads: 2, rowGroups: 4, shares }),
      attention: (headWidth) => ({
        rows: headWidth > 64 ? 1 : headWidth > 32 ? 2 : 4,
        rowGroups: 1,
        share: shares ? "quad" : "none",
      }),
      row: "alone",
    };
  }
  return {
    matmul: () => ({ kind: "tiled", rows: 8, quads: 2, side: 8 }),
    attention: () => ({ rows: 1, rowGroups: 16, share: "workgroup" }),
    row: "workgroup",
  };
}

/** SwiftShader and lavapipe compute on the CPU. */
export function isSoftware({ vendor, architecture, device, description }: GPUAdapterInfo): boolean {
  return /swiftshader|llvmpipe|lavapipe|software/i.test(
    [vendor, architecture, device, description].join(" "),
  );
}
