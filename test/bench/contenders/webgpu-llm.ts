// webgpu-llm, a trainer of small Llama-like models in hand-written WGSL. A named skip so far.
// It opens only an adapter with shader-f16, subgroups of exactly 32 and timestamp-query. Its model differs from the
// one measured here: the head is always the embedding's transpose, weights lie [in, out], and a batch is one sequence
// at a time with accumulated gradients. Everything else (norm, RoPE, SwiGLU, sizes, AdamW, clip) can be configured to
// the same shapes.
import { Skipped, type Contender } from "../contender.ts";

const FEATURES = ["shader-f16", "subgroups", "timestamp-query"];
const SUBGROUP_SIZE = 32;

export default async function open(): Promise<Contender> {
  const adapter = await navigator.gpu.requestAdapter({ powerPreference: "high-performance" });
  const missing = FEATURES.filter((feature) => !adapter?.features.has(feature as GPUFeatureName));
  if (missing.length > 0) {
    throw new Skipped(`needs ${FEATURES.join(", ")}; this adapter lacks ${missing.join(", ")}`);
  }
  const { subgroupMinSize, subgroupMaxSize } = adapter!.info;
  if (subgroupMinSize !== SUBGROUP_SIZE || subgroupMaxSize !== SUBGROUP_SIZE) {
    throw new Skipped(
      `needs subgroups of ${SUBGROUP_SIZE}; this adapter's are ${subgroupMinSize} to ${subgroupMaxSize}`,
    );
  }
  throw new Skipped("its head is always tied, and no adapter was to be had to try a tied model on");
}
