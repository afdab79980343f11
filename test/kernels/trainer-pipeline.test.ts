// A pipeline's trainers on real stages, frames handed over in this process: they follow the order of their plan.
import { expect, test } from "vitest";
import { stageSpecOf } from "../../core/plan/memory.ts";
import { orderOf } from "../../core/plan/order.ts";
import { makePlan } from "../../core/plan/partition.ts";
import type { Plan } from "../../core/plan/plan.ts";
import { Random } from "../../core/random.ts";
import { Stage } from "../../web/engine/stage.ts";
import { Channel } from "../../web/worker/channel.ts";
import { loadTrainer } from "../../web/worker/load-trainer.ts";
import { Meter } from "../../web/worker/meter.ts";
import type { Pacer } from "../../web/worker/pacer.ts";
import { SpeedEstimate } from "../../web/worker/speed-estimate.ts";
import type { Assignment } from "../../web/worker/worker-messages.ts";
import { tinyConfig } from "../fixtures/configs.ts";
import { MemoryBlobs } from "../fixtures/in-process-sites.ts";
import { gpu } from "./device.ts";

const config = tinyConfig({ stages: 3, batch: 5, model: { ...tinyConfig().model, tied: true } });
const random = new Random(1);
const text = Uint8Array.from({ length: 2000 }, () => 97 + random.below(26));
const tokens = { train: text, valid: text };

const plan = makePlan(config, new Map([["a", ["a-1", "a-2", "a-3"]]]));
const inHalves: Plan = {
  ...plan,
  replicas: plan.replicas.map((replica) => ({ ...replica, zeroBubble: true as const })),
};

/** A few steps: losses and norms as reported, parameters at the end, and each worker's FLOPs by operation. */
async function train(plan: Plan) {
  const replica = plan.replicas[0]!;
  const channels = new Map<string, Channel>();
  const flops = replica.stages.map((): number[] => []);
  const workers = await Promise.all(
    replica.stages.map(async ({ worker: self }, i) => {
      const channel = new Channel(1, 1, (to, frame) => channels.get(to)!.deliver(self, frame));
      channels.set(self, channel);
      const spec = stageSpecOf(config, replica, i);
      const stage = await Stage.create(gpu, spec);
      const pacer = {
        begin: () => {},
        input: <T>(arrival: Promise<T>) => arrival,
        spend: async (work: number, done: Promise<void>) => {
          await done;
          flops[i]!.push(work);
        },
      } as unknown as Pacer;
      const assignment = { config, plan, state: { kind: "seed" } } as unknown as Assignment;
      const parts = { self, assignment, spec, stage, channel, pacer, tokens };
      const more = {
        meter: new Meter(),
        estimate: new SpeedEstimate(),
        blobs: new MemoryBlobs(),
        held: null,
      };
      return { stage, ...(await loadTrainer({ ...parts, ...more })) };
    }),
  );
  const reported = [];
  for (let step = 1; step <= 3; step++) {
    const order = { generation: 1, step };
    const ready = await Promise.all(workers.map(({ trainer }) => trainer.step({ type: "step", ...order })));
    reported.push(...ready.map(({ squaredNorm, lossSum }) => ({ squaredNorm, lossSum })));
    const commit = { type: "commit", ...order, scale: 0.01, lr: 0.01 } as const;
    await Promise.all(workers.map(({ trainer }) => trainer.commit(commit)));
  }
  const parameters = await Promise.all(workers.map(({ stage }) => stage.read("parameters")));
  for (const { stage } of workers) stage.destroy();
  return { reported, parameters, flops };
}

test("by ZB-H1 a pipeline trains to the bits of 1F1B, and is paced by as much work in more parts", async () => {
  const [whole, halves] = [await train(plan), await train(inHalves)];
  expect(halves.reported).toEqual(whole.reported);
  expect(halves.parameters).toEqual(whole.parameters);
  for (const [stage, parts] of halves.flops.entries()) {
    const sum = (of: readonly number[]) => of.reduce((a, b) => a + b, 0);
    expect(sum(parts) / sum(whole.flops[stage]!)).toBeCloseTo(1, 9);
    expect(parts).toHaveLength(3 * orderOf(inHalves.replicas[0]!, stage).length);
  }
});
