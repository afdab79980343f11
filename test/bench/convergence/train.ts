// One training run of several sites in one process: each site is a worker as its page would run it (Trainer, Channel,
// OuterLoop, Stage), only that frames are handed over instead of sent, and that all share one GPU. No site leaves
// steps out, so that a run depends on its configuration alone.
import { windowCount, type Tokens } from "../../../core/data/batch.ts";
import type { RunConfig } from "../../../core/model/config.ts";
import { learningRate } from "../../../core/model/learning-rate.ts";
import { stageRange } from "../../../core/model/parameters.ts";
import { stageSpecOf } from "../../../core/plan/memory.ts";
import { makePlan } from "../../../core/plan/partition.ts";
import { roundsMoment } from "../../../core/plan/rounds.ts";
import { OuterState } from "../../../core/reduce/outer.ts";
import { openGpu, type Gpu } from "../../../web/engine/device.ts";
import { Stage } from "../../../web/engine/stage.ts";
import { BlobClient } from "../../../web/worker/blobs.ts";
import { Channel } from "../../../web/worker/channel.ts";
import { OuterLoop } from "../../../web/worker/outer-loop.ts";
import { loadState } from "../../../web/worker/stage-state.ts";
import type { Trained } from "./results.ts";
import { Trainer, type Assignment } from "../../../web/worker/trainer.ts";

interface Worker {
  readonly trainer: Trainer;
  readonly channel: Channel;
  readonly stage: Stage;
  /** Since each fragment's last exchange. */
  readonly tokens: number[];
}

export interface TrainOptions {
  readonly config: RunConfig;
  readonly sites: number;
  readonly train: Tokens;
  readonly valid: Tokens;
  readonly onPoint: (point: Trained["curve"][number]) => void;
}

const RUN = 1;
const GENERATION = 1;

export async function train({ config, sites, train, valid, onPoint }: TrainOptions): Promise<Trained> {
  const gpu = await openGpu();
  const names = Array.from({ length: sites }, (_, site) => `site-${site}`);
  const plan = makePlan(config, new Map(names.map((name) => [name, [name]])));
  const assignment = { config, plan, state: { kind: "seed" } } as unknown as Assignment;
  const workers = new Map<string, Worker>();
  let wideBytes = 0;
  const send = (from: string) => (to: string, frame: ArrayBuffer) => {
    wideBytes += frame.byteLength;
    workers.get(to)!.channel.deliver(from, frame);
  };
  for (const name of names) {
    const channel = new Channel(RUN, GENERATION, send(name));
    workers.set(name, await makeWorker(gpu, name, assignment, channel, { train, valid }));
  }
  const all = [...workers.values()];
  const began = performance.now();
  const curve: Trained["curve"] = [];
  let tokens = 0;
  for (let step = 1; step <= config.steps; step++) {
    tokens += await trainStep(config, all, step);
    if (config.strategy.kind === "rounds") await exchange(config, all, step);
    if (step % config.validEvery !== 0 && step !== config.steps) continue;
    const point = { step, loss: await validate(config, all, step, valid) };
    curve.push(point);
    onPoint(point);
  }
  for (const { stage } of all) stage.destroy();
  return { curve, wideBytes, tokens, seconds: (performance.now() - began) / 1000 };
}

async function makeWorker(
  gpu: Gpu,
  self: string,
  assignment: Assignment,
  channel: Channel,
  tokens: { train: Tokens; valid: Tokens },
): Promise<Worker> {
  const { config, plan } = assignment;
  const { strategy, model } = config;
  const replica = plan.replicas.find(({ site }) => site === self)!;
  const range = stageRange(model, 0, model.layers);
  const spec = stageSpecOf(config, replica, 0);
  const stage = await Stage.create(gpu, spec);
  const outer = strategy.kind === "rounds" ? new OuterState(stage.segment) : null;
  await loadState({ stage, range, outer, site: self }, assignment, new BlobClient(""));
  const outerLoop =
    strategy.kind === "rounds"
      ? new OuterLoop({ self, assignment, strategy, range, stage, channel, outer })
      : null;
  const parts = { self, assignment, range, stage, slots: spec.slots, channel, tokens, outerLoop };
  const fragments = strategy.kind === "rounds" ? strategy.fragments : 0;
  return { trainer: new Trainer(parts), channel, stage, tokens: Array.from({ length: fragments }, () => 0) };
}

/** An inner step of every site, which in strategy `sync` is the run's; returns its tokens. */
async function trainStep(config: RunConfig, workers: readonly Worker[], step: number): Promise<number> {
  const order = { generation: GENERATION, step };
  const ready = await Promise.all(workers.map(({ trainer }) => trainer.step({ type: "step", ...order })));
  const lr = learningRate(config.optimizer, step, config.steps);
  const all = ready.reduce((sum, { tokens }) => sum + tokens, 0);
  for (const [i, { trainer, tokens }] of workers.entries()) {
    const own = ready[i]!;
    const shared = config.strategy.kind === "sync" ? all : own.tokens;
    const norm = Math.sqrt(own.squaredNorm ?? NaN) / shared;
    if (!Number.isFinite(norm)) throw new RangeError(`step ${step}: the gradient is not finite`);
    const scale = Math.min(1, config.optimizer.clip / norm) / shared;
    await trainer.commit({ type: "commit", ...order, scale, lr });
    tokens.forEach((before, fragment) => (tokens[fragment] = before + own.tokens));
  }
  return all;
}

async function exchange(
  { strategy, steps }: RunConfig,
  workers: readonly Worker[],
  step: number,
): Promise<void> {
  if (strategy.kind !== "rounds") return;
  const { merges, exchanges, last } = roundsMoment(strategy, step, steps);
  const order = { generation: GENERATION, step };
  const merge = (fragments: readonly number[], last: boolean) =>
    Promise.all(
      workers.map(({ trainer }) =>
        trainer.merge({ type: "merge", ...order, fragments: [...fragments], last }),
      ),
    );
  if (merges.length > 0) await merge(merges, false);
  if (exchanges.length === 0) return;
  for (const { trainer, tokens } of workers) {
    const weighed = exchanges.map((fragment) => ({ fragment, tokens: tokens[fragment]! }));
    await trainer.exchange({ type: "exchange", ...order, exchanges: weighed, last });
    for (const fragment of exchanges) tokens[fragment] = 0;
  }
  if (last) await merge(exchanges, true);
}

async function validate(
  { model }: RunConfig,
  workers: readonly Worker[],
  step: number,
  valid: Tokens,
): Promise<number> {
  const order = { type: "validate", generation: GENERATION, step } as const;
  const parts = await Promise.all(workers.map(({ trainer }) => trainer.validate(order)));
  const tokens = parts.reduce((sum, part) => sum + part.tokens, 0);
  if (windowCount(valid.length, model.context) === 0) throw new RangeError("no validation text");
  return parts.reduce((sum, { lossSum }) => sum + (lossSum ?? NaN), 0) / tokens;
}
