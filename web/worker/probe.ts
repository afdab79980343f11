// How fast this GPU is before it has trained anything: times a block, and a block with the head, at two sizes through
// the engine itself.
// Not here: what the times say (core/plan/fit-speed.ts), later measurements (speed-estimate.ts).
import type { ModelConfig } from "../../core/model/config.ts";
import { stageRange } from "../../core/model/parameters.ts";
import { fitSpeed, type Timing } from "../../core/plan/fit-speed.ts";
import { plainSpec, type StageSpec } from "../../core/plan/memory.ts";
import type { WorkerSpeed } from "../../core/plan/speed.ts";
import { flopsOf, stageWork } from "../../core/plan/work.ts";
import type { Gpu } from "../engine/device.ts";
import { Stage } from "../engine/stage.ts";
import { isSoftware } from "../engine/tuning.ts";

interface Size {
  readonly width: number;
  readonly context: number;
  readonly headWidth: number;
  readonly microbatch: number;
}

/** A GPU is given more and more, a step eight times as much, until it has something to do. */
const GPU_SIZES: readonly Size[] = [128, 256, 512, 1024].map((width) => ({
  width,
  context: width,
  headWidth: 64,
  microbatch: 1,
}));
/** A software adapter compiles slowly, and longer what has wide heads and large products: it needs no more to be busy. */
const SOFTWARE_SIZES: readonly Size[] = [1, 3].map((microbatch) => ({
  width: 64,
  context: 64,
  headWidth: 8,
  microbatch,
}));
/** A forward and backward that take this long are more work than overhead. */
const ENOUGH_MS = 5;
const REPEATS = 3;
/** Of a model of three blocks: one alone, and one with the head. */
const PARTS = [
  [1, 2],
  [2, 3],
] as const;

/**
 * @param pace GFLOP/s that the worker is slowed to, if it is
 * @param stopped asked between two timings: when true, there is other work to do
 * @returns null when it was stopped
 */
export async function probe(
  gpu: Gpu,
  pace: number | null,
  stopped: () => boolean,
): Promise<Omit<WorkerSpeed, "memory"> | null> {
  let timings: Timing[] = [];
  for (const size of isSoftware(gpu.info) ? SOFTWARE_SIZES : GPU_SIZES) {
    const model = modelOf(size);
    const atSize: Timing[] = [];
    for (const [first, last] of PARTS) {
      const timing = await timeStage(
        gpu,
        plainSpec(model, stageRange(model, first, last), size.microbatch),
        pace,
        stopped,
      );
      if (!timing) return null;
      atSize.push(timing);
    }
    const enough = timings.length > 0 && atSize[0]!.seconds * 1000 > ENOUGH_MS;
    timings = [...timings.slice(-PARTS.length), ...atSize];
    if (enough) break;
  }
  return fitSpeed(timings);
}

function modelOf({ width, context, headWidth }: Size): ModelConfig {
  return {
    layers: 3,
    width,
    heads: width / headWidth,
    kvHeads: width / headWidth,
    hidden: 3 * width,
    context,
    // About as much work in the head as in a block: its share is a difference of two times.
    vocab: 8 * width,
    tied: false,
    ropeTheta: 10_000,
    normEps: 1e-5,
  };
}

/** The median of a few forwards and backwards, after one that compiles. */
async function timeStage(
  gpu: Gpu,
  spec: StageSpec,
  pace: number | null,
  stopped: () => boolean,
): Promise<Timing | null> {
  const stage = await Stage.create(gpu, spec);
  try {
    const { model, range, microbatch } = spec;
    const rows = microbatch * model.context;
    const activations = Float32Array.from({ length: rows * model.width }, (_, i) => Math.sin(i));
    if (range.head) {
      stage.setTokens(
        0,
        null,
        Uint32Array.from({ length: rows }, (_, i) => i % model.vocab),
      );
    }
    const { forward, backward } = stageWork(spec);
    const work = { block: forward.block + backward.block, head: forward.head + backward.head, passes: 2 };
    const least = pace === null ? 0 : flopsOf(work) / (pace * 1e9);
    const seconds: number[] = [];
    for (let i = 0; i <= REPEATS; i++) {
      if (stopped()) return null;
      const began = performance.now();
      stage.forward(0, activations);
      stage.backward(0, range.head ? undefined : activations);
      await stage.finish();
      if (i > 0) seconds.push(Math.max(least, (performance.now() - began) / 1000, 1e-6));
    }
    return { ...work, seconds: seconds.sort((a, b) => a - b)[(REPEATS - 1) / 2]! };
  } finally {
    stage.destroy();
  }
}
