import type { OptimizerConfig } from "./config.ts";

/**
 * Learning rate of step `step` (from 1) of `steps`: linear warm-up over `warmup` steps, then a cosine from `lr`
 * to `minLr` at the last step. Source: Loshchilov and Hutter, "SGDR", ICLR 2017.
 */
export function learningRate(optimizer: OptimizerConfig, step: number, steps: number): number {
  const { lr, minLr, warmup } = optimizer;
  if (step <= warmup) return (lr * step) / warmup;
  const progress = (step - warmup) / Math.max(1, steps - warmup);
  return minLr + 0.5 * (lr - minLr) * (1 + Math.cos(Math.PI * progress));
}
