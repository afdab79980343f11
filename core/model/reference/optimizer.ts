// AdamW and gradient clipping in float64. Sources: Loshchilov and Hutter, "Decoupled Weight Decay
// Regularization", 2019; Pascanu et al., "On the difficulty of training recurrent neural networks", 2013.
// Not here: the learning rate's schedule.
import type { OptimizerConfig } from "../config.ts";

export interface AdamWSettings extends Pick<OptimizerConfig, "lr" | "beta1" | "beta2" | "eps"> {
  /** Decay, multiplied by `lr`; 0 for gains. */
  readonly weightDecay: number;
  /** Number of this update, from 1. */
  readonly step: number;
}

/** Parameters and the running means of their gradient and squared gradient: arrays of one length. */
export interface AdamWState {
  readonly parameters: Float64Array;
  readonly first: Float64Array;
  readonly second: Float64Array;
}

/**
 * One update for `gradient` g: m = beta1 m + (1 - beta1) g, v = beta2 v + (1 - beta2) g^2,
 * p = p - lr weightDecay p - lr m' / (sqrt(v') + eps), with m' = m / (1 - beta1^step) and
 * v' = v / (1 - beta2^step). Start from m = v = 0.
 */
export function adamW(state: AdamWState, gradient: Float64Array, settings: AdamWSettings): AdamWState {
  const { lr, beta1, beta2, eps, weightDecay, step } = settings;
  const first = state.first.map((m, i) => beta1 * m + (1 - beta1) * gradient[i]);
  const second = state.second.map((v, i) => beta2 * v + (1 - beta2) * gradient[i] ** 2);
  const parameters = state.parameters.map((p, i) => {
    const mean = first[i] / (1 - beta1 ** step);
    const meanSquare = second[i] / (1 - beta2 ** step);
    return p - lr * weightDecay * p - (lr * mean) / (Math.sqrt(meanSquare) + eps);
  });
  return { parameters, first, second };
}

/** sum_i x_i^2. Squared norms of parts of a gradient add up to the whole's. */
export function squaredNorm(x: Float64Array): number {
  return x.reduce((sum, value) => sum + value * value, 0);
}

/** min(1, clip / norm): the factor that brings a gradient of L2 norm `norm` to at most `clip`. */
export function clipFactor(norm: number, clip: number): number {
  return Math.min(1, clip / norm);
}
