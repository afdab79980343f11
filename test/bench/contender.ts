// What every contender of the benchmark offers, and the work it is given. One adapter, one page, the same numbers.
// Not here: the contenders (contenders/), their order and clock (rounds.ts), whether they are right (kernels.ts,
// step.ts).
import type { ModelConfig } from "../../core/model/config.ts";
import type { Batch } from "../../core/data/batch.ts";
import type { Profile } from "./result.ts";

/** Why a contender takes no part here. The table names it; it is no failure. */
export class Skipped extends Error {
  override name = "Skipped";
}

/** Two square matrices, row-major. `halves`: to be stored in f16, in which their values are exact, and summed in f32. */
export interface MatmulProblem {
  readonly halves: boolean;
  readonly n: number;
  readonly a: Float32Array<ArrayBuffer>;
  readonly b: Float32Array<ArrayBuffer>;
}

/** A model at its initial values, one batch, and how to train on it again and again. */
export interface StepProblem {
  readonly model: ModelConfig;
  /** Sequences in the batch, each of the model's context. */
  readonly sequences: number;
  readonly batch: Batch;
  /** The flat canonical space (core/model/parameters.ts). */
  readonly parameters: Float32Array<ArrayBuffer>;
  readonly optimizer: {
    readonly lr: number;
    readonly beta1: number;
    readonly beta2: number;
    readonly eps: number;
    readonly weightDecay: number;
    /** Largest global norm of the mean gradient. */
    readonly clip: number;
  };
}

export interface Matmul {
  /** Multiplies `times` times; resolves when the GPU has done the last. */
  run(times: number): Promise<void>;
  /** The product, [n,n]. */
  product(): Promise<Float32Array>;
  dispose(): void;
}

export interface Training {
  /**
   * Forward, mean cross-entropy, backward, clip by the global norm, AdamW. Resolves to the loss before the update,
   * when the GPU has done the update too.
   */
  step(): Promise<number>;
  /** Where a step's time goes; ours alone can tell. Nothing may come after it but `dispose`. */
  profile?(): Promise<Profile>;
  dispose(): void;
}

export interface Contender {
  matmul(problem: MatmulProblem): Promise<Matmul>;
  training(problem: StepProblem): Promise<Training>;
}

/** The default export of a file in contenders/. @throws Skipped */
export type OpenContender = () => Promise<Contender>;
