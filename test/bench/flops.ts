// One count of floating-point operations for all contenders: of the work asked for, not of what each makes of it.
import type { ModelConfig } from "../../core/model/config.ts";
import { EMBEDDING, parameterSpace } from "../../core/model/parameters.ts";

/** A multiplication and an addition for each of n^3 pairs. */
export const matmulFlops = (n: number): number => 2 * n ** 3;
export const MATMUL_COUNTED = "2 n³";

/**
 * A training step over `sequences` of the model's context T, of a model with a head of its own. Each token meets each
 * parameter of a matrix three times (forward, gradient of the input, gradient of the weight), 2 operations each;
 * attention's two products are counted over the causal half, T²/2 pairs a head, three times as well. The embedding
 * is looked up. Norms, softmax, rotations and the optimizer are left out.
 */
export function stepFlops(model: ModelConfig, sequences: number): number {
  const { context: T, width: C, layers } = model;
  const matrices = parameterSpace(model).tensors.filter(({ name, decay }) => decay && name !== EMBEDDING);
  const parameters = matrices.reduce((sum, { size }) => sum + size, 0);
  const attention = 3 * (2 * 2 * (T * T) * C) * 0.5;
  return sequences * (6 * parameters * T + layers * attention);
}
export const STEP_COUNTED =
  "6 × parameters in matrix products × tokens, and 6 T² C a layer and sequence for causal attention";
