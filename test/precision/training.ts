// Two trainings of one configuration, from the same seed on the same batches, step by step in turn: one in f32,
// the other in f16.
import { trainingBatch, windowBatch, windowCount, type Tokens } from "../../core/data/batch.ts";
import type { RunConfig } from "../../core/model/config.ts";
import { learningRate } from "../../core/model/learning-rate.ts";
import { initialTensor, parameterSpace, stageRange } from "../../core/model/parameters.ts";
import type { Gpu } from "../../web/engine/device.ts";
import { Stage } from "../../web/engine/stage.ts";
import { workDone } from "../../web/engine/waiting.ts";
import { median } from "../bench/statistics.ts";
import type { Job, Report } from "./job.ts";

type Precision = RunConfig["precision"];

export async function compareTrainings(
  gpu: Gpu,
  { config, text }: Job,
  say: (line: string) => void,
): Promise<Pick<Report, "losses" | "validation" | "seconds">> {
  const tokens = new TextEncoder().encode(text);
  const validFrom = Math.floor(tokens.length * (1 - config.data.valid));
  const [single, half] = [
    await open(gpu, config, "f32", tokens.subarray(0, validFrom)),
    await open(gpu, config, "f16", tokens.subarray(0, validFrom)),
  ];
  const losses: Report["losses"] = [];
  for (let step = 1; step <= config.steps; step++) {
    const pair = { f32: await single.step(step), f16: await half.step(step) };
    losses.push(pair);
    say(`step ${step}: loss ${pair.f32.toFixed(4)} in f32, ${pair.f16.toFixed(4)} in f16`);
  }
  const valid = tokens.subarray(validFrom);
  const validation = { f32: await single.validate(valid), f16: await half.validate(valid) };
  return { losses, validation, seconds: { f32: median(single.seconds), f16: median(half.seconds) } };
}

async function open(gpu: Gpu, config: RunConfig, precision: Precision, train: Tokens) {
  const { model, microbatch, batch, seed, optimizer, steps, recompute } = config;
  const range = stageRange(model, 0, model.layers);
  const stage = await Stage.create(gpu, {
    model,
    range,
    microbatch,
    slots: 1,
    recompute,
    split: false,
    precision,
    optimizer,
  });
  for (const tensor of parameterSpace(model).tensors) {
    stage.write("parameters", initialTensor(model, tensor, seed), tensor.offset);
  }
  const seconds: number[] = [];
  return {
    seconds,
    /** Resolves to the mean loss before the update. */
    async step(step: number): Promise<number> {
      const start = performance.now();
      stage.zero();
      for (let i = 0; i < batch / microbatch; i++) {
        const { inputs, targets } = trainingBatch(config, train, step, i);
        stage.setTokens(0, inputs, targets);
        stage.forward(0);
        stage.backward(0);
      }
      const tokens = batch * model.context;
      const { lossSum, squaredNorm } = await stage.sums();
      const norm = Math.sqrt(squaredNorm) / tokens;
      const scale = Math.min(1, optimizer.clip / norm) / tokens;
      stage.apply({ step, scale, lr: learningRate(optimizer, step, steps) });
      await workDone(gpu.device.queue);
      seconds.push((performance.now() - start) / 1000);
      return lossSum / tokens;
    },
    async validate(valid: Tokens): Promise<number> {
      stage.resetLoss();
      let count = 0;
      for (let first = 0; first < windowCount(valid.length, model.context); first += microbatch) {
        const { inputs, targets, tokens } = windowBatch(valid, first, microbatch, model.context);
        stage.setTokens(0, inputs, targets);
        stage.evaluate(0);
        count += tokens;
      }
      const mean = (await stage.lossSum()) / count;
      stage.destroy();
      return mean;
    },
  };
}
