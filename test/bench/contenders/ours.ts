// This project's own engine: the matmul operation by itself, and one stage that holds the whole model.
import { stageRange } from "../../../core/model/parameters.ts";
import { openGpu, type Gpu } from "../../../web/engine/device.ts";
import { KernelRegistry } from "../../../web/engine/kernels.ts";
import { matmul } from "../../../web/engine/matmul.ts";
import { Program } from "../../../web/engine/program.ts";
import { mapped } from "../../../web/engine/readback.ts";
import { Stage } from "../../../web/engine/stage.ts";
import { tuningFor } from "../../../web/engine/tuning.ts";
import { workDone } from "../../../web/engine/waiting.ts";
import { floatToHalf } from "../../../core/formats/half.ts";
import { median } from "../statistics.ts";
import type { Profile } from "../result.ts";
import type { Contender, Matmul, MatmulProblem, StepProblem, Training } from "../contender.ts";

export default async function open(): Promise<Contender> {
  const gpu = await openGpu();
  return {
    matmul: (problem) => openMatmul(gpu, problem),
    training: (problem) => openTraining(gpu, problem),
  };
}

async function openMatmul(gpu: Gpu, { n, a, b, halves }: MatmulProblem): Promise<Matmul> {
  const { device } = gpu;
  const size = n * n * 4;
  const { STORAGE, COPY_SRC, COPY_DST, MAP_READ } = GPUBufferUsage;
  const upload = (values: Float32Array<ArrayBuffer>) => {
    const buffer = device.createBuffer({ size, usage: STORAGE | COPY_DST });
    device.queue.writeBuffer(buffer, 0, halves ? Uint16Array.from(values, floatToHalf) : values);
    return buffer;
  };
  const [left, right] = [upload(a), upload(b)];
  const product = device.createBuffer({ size, usage: STORAGE | COPY_SRC });
  const staging = device.createBuffer({ size, usage: MAP_READ | COPY_DST });
  const shape = { layout: "nn", M: n, N: n, K: n } as const;
  const variant = tuningFor(gpu).matmul(shape);
  const epilogue = { kind: "store", c: { buffer: product } } as const;
  const operation = matmul(variant, shape, { buffer: left, halves }, { buffer: right, halves }, epilogue);
  const program = await Program.record(device, KernelRegistry.of(device), [operation]);
  const multiply = (times: number, count: number) => {
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    for (let i = 0; i < times; i++) program.replay(pass);
    pass.end();
    encoder.copyBufferToBuffer(product, 0, staging, 0, count * 4);
    device.queue.submit([encoder.finish()]);
    return mapped(device.queue, staging, count);
  };
  return {
    run: async (times) => void (await multiply(times, 1)),
    product: () => multiply(1, n * n),
    dispose: () => [left, right, product, staging].forEach((buffer) => buffer.destroy()),
  };
}

async function openTraining(gpu: Gpu, problem: StepProblem): Promise<Training> {
  const { model, sequences, batch, optimizer } = problem;
  const range = stageRange(model, 0, model.layers);
  const stage = await Stage.create(gpu, {
    model,
    range,
    microbatch: sequences,
    slots: 1,
    recompute: false,
    split: false,
    precision: "f32",
    optimizer,
  });
  stage.write("parameters", problem.parameters, 0);
  let step = 0;
  /** One step; `told` hears when all work of the forward and backward has been given to the GPU. */
  const train = async (told: () => void = () => {}) => {
    step++;
    stage.zero();
    stage.setTokens(0, batch.inputs, batch.targets);
    stage.forward(0);
    stage.backward(0);
    const sums = stage.sums();
    told();
    const { lossSum, squaredNorm } = await sums;
    const norm = Math.sqrt(squaredNorm) / batch.tokens;
    stage.apply({ step, scale: Math.min(1, optimizer.clip / norm) / batch.tokens, lr: optimizer.lr });
    await workDone(gpu.device.queue);
    return lossSum / batch.tokens;
  };
  return {
    step: train,
    profile: () => profileOf(stage, train),
    dispose: () => stage.destroy(),
  };
}

/** Steps and passes over the kernels that a profile is the median, or the mean, of. */
const PROFILED = 3;

async function profileOf(stage: Stage, train: (told: () => void) => Promise<number>): Promise<Profile> {
  const steps: number[] = [];
  const encodes: number[] = [];
  for (let i = 0; i < PROFILED; i++) {
    const start = performance.now();
    await train(() => encodes.push((performance.now() - start) / 1000));
    steps.push((performance.now() - start) / 1000);
  }
  const kernels = new Map<string, { calls: number; seconds: number }>();
  for (let i = 0; i < PROFILED; i++) {
    for (const { name, ms } of await stage.profile(0)) {
      const { calls, seconds } = kernels.get(name) ?? { calls: 0, seconds: 0 };
      kernels.set(name, { calls: calls + 1, seconds: seconds + ms / 1000 });
    }
  }
  return {
    step: median(steps),
    encode: median(encodes),
    kernels: Array.from(kernels, ([name, { calls, seconds }]) => ({
      name,
      calls: calls / PROFILED,
      seconds: seconds / PROFILED,
    })).sort((a, b) => b.seconds - a.seconds),
  };
}
