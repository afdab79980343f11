// Who takes part in the benchmarks.
export const CONTENDERS = ["ours", "jax", "tfjs", "webgpu-llm"] as const;
export type ContenderName = (typeof CONTENDERS)[number];
