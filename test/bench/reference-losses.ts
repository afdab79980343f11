// Training in float64 with core/model/reference: the losses that every contender is held against.
import { parameterSpace } from "../../core/model/parameters.ts";
import { lossAndGradient } from "../../core/model/reference/model.ts";
import { adamW, clipFactor, squaredNorm, type AdamWState } from "../../core/model/reference/optimizer.ts";
import type { StepProblem } from "./contender.ts";

/** Mean loss before each of the first `steps` updates. Takes seconds a step. */
export function referenceLosses(problem: StepProblem, steps: number): number[] {
  const { model, sequences, batch, optimizer } = problem;
  const size = problem.parameters.length;
  const state: AdamWState = {
    parameters: Float64Array.from(problem.parameters),
    first: new Float64Array(size),
    second: new Float64Array(size),
  };
  const losses = [];
  for (let step = 1; step <= steps; step++) {
    const { inputs, targets, tokens } = batch;
    const { lossSum, gradient } = lossAndGradient(
      model,
      state.parameters,
      inputs,
      targets,
      sequences,
      model.context,
    );
    losses.push(lossSum / tokens);
    const norm = Math.sqrt(squaredNorm(gradient)) / tokens;
    const scale = clipFactor(norm, optimizer.clip) / tokens;
    for (const { offset, size, decay } of parameterSpace(model).tensors) {
      const part = (values: Float64Array) => values.subarray(offset, offset + size);
      const { parameters, first, second } = adamW(
        { parameters: part(state.parameters), first: part(state.first), second: part(state.second) },
        part(gradient).map((value) => value * scale),
        { ...optimizer, weightDecay: decay ? optimizer.weightDecay : 0, step },
      );
      state.parameters.set(parameters, offset);
      state.first.set(first, offset);
      state.second.set(second, offset);
    }
  }
  return losses;
}
