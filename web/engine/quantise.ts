// Operations that encode values for the wire and decode them, to the bit as core/reduce does.
// Not here: f16, and where the bytes go.
import { BLOCK } from "../../core/reduce/block.ts";
import type { Codec } from "../../core/reduce/codec.ts";
import { folded } from "./operations.ts";
import type { Binding, Operation } from "./program.ts";

/** Codecs of blocks: those with kernels. */
export type BlockCodec = Exclude<Codec, "f32" | "f16">;

const KERNELS = {
  int8: { file: "block-integers", overrides: { BITS: 8 } },
  int4: { file: "block-integers", overrides: { BITS: 4 } },
  topk: { file: "top-k", overrides: {} },
  sign: { file: "signs", overrides: {} },
} as const;

const LANES = 256;

const blocksOf = (count: number) => folded(Math.ceil(count / BLOCK));

/**
 * Encodes `count` values; what that leaves out takes their place. `values` hold what is to be said, the last residual
 * added; `encoded`: as many bytes as encodedBytes says.
 */
export function quantise(codec: BlockCodec, count: number, values: Binding, encoded: Binding): Operation {
  return operation(codec, "quantise", count, values, encoded, blocksOf(count));
}

/** Sets `count` values to what was encoded. */
export function dequantise(codec: BlockCodec, count: number, encoded: Binding, values: Binding): Operation {
  const workgroups = codec === "topk" ? blocksOf(count) : folded(Math.ceil(count / LANES));
  return operation(codec, "dequantise", count, values, encoded, workgroups);
}

function operation(
  codec: BlockCodec,
  entry: string,
  count: number,
  values: Binding,
  encoded: Binding,
  workgroups: Operation["workgroups"],
): Operation {
  return {
    name: `${entry} ${codec}`,
    kernel: { ...KERNELS[codec], entry, parts: ["block"] },
    bindings: { 0: values, 1: encoded },
    uniform: { binding: 2, values: [count] },
    workgroups,
  };
}
