// The dedicated worker: holds the GPU device and at most one generation's stage, and takes the coordinator's
// orders one after the other. Peer connections and the control socket stay on the page (session.ts), because a
// data channel made by a library cannot be moved here.
import type { Tokens } from "../../core/data/batch.ts";
import { stageBytes, stageSpecOf, type StageSpec } from "../../core/plan/memory.ts";
import { positionOf } from "../../core/plan/plan.ts";
import type { TokenSource } from "../../core/protocol/control.ts";
import { decodeFrame, frameKind } from "../../core/protocol/frame.ts";
import { DoesNotFit, openGpu, type Gpu } from "../engine/device.ts";
import { stageOn } from "../engine/memory.ts";
import { Stage } from "../engine/stage.ts";
import { tuningFor } from "../engine/tuning.ts";
import { BlobClient } from "./blobs.ts";
import { Channel } from "./channel.ts";
import { describeGpu } from "./describe-gpu.ts";
import { answerWanted, type HeldState } from "./held-state.ts";
import { GenerationEnded } from "./mailbox.ts";
import { loadTrainer, type LoadedTrainer } from "./load-trainer.ts";
import { Meter } from "./meter.ts";
import { Pacer } from "./pacer.ts";
import { probe } from "./probe.ts";
import { SpeedEstimate } from "./speed-estimate.ts";
import type { Assignment } from "./trainer.ts";
import { tune } from "./tune.ts";
import type { FromTrainer, ToTrainer, TrainerOrder, TrainerReport } from "./worker-messages.ts";

/** What exists from an assignment until its release. */
interface Generation {
  readonly assignment: Assignment;
  readonly channel: Channel;
  readonly meter: Meter;
  stage: Stage | null;
  loaded: LoadedTrainer | null;
}

let gpu: Gpu | null = null;
/** Of this GPU. */
let estimate: SpeedEstimate;
let probing = false;
/** Whether to search for faster kernels than the table's. */
let searches = true;
/** One for all that this worker computes; null where it is as fast as it can be. */
let pacer: Pacer | null = null;
let pace: number | null = null;
let self = "";
let blobs = new BlobClient("");
let generation: Generation | null = null;
/** Of a generation that ended, until the next has begun. */
let held: HeldState | null = null;
/** Orders run one after the other: each starts when this settles. */
let orders: Promise<void> = Promise.resolve();
/** From then on until the next one begins, the coordinator's word is waited for. */
let lastOrderEnded = performance.now();

addEventListener("message", ({ data }: MessageEvent<ToTrainer>) => {
  if (data.type === "start") {
    searches = data.tune;
    ({ pace } = data);
    if (pace) pacer = new Pacer({ pace, onBehind: (share) => post({ type: "behind", share }) });
    void start();
  } else if (data.type === "pace") {
    ({ pace } = data);
    pacer!.pace = pace;
  } else if (data.type === "joined") {
    self = data.worker;
    blobs = new BlobClient(data.token);
    void sayMeasured();
  } else if (data.type === "order") take(data.order);
  else if (data.type === "frame") deliver(data.from, data.frame);
  else if (data.type === "broken") generation?.channel.lose(data.peer, data.reason);
  else {
    held = null;
    endGeneration(data.reason);
  }
});

function post(message: FromTrainer, transfer: Transferable[] = []): void {
  postMessage(message, { transfer });
}

function report(message: TrainerReport): void {
  post({ type: "report", report: message });
}

async function start(): Promise<void> {
  try {
    const opened = await openGpu();
    gpu = opened;
    estimate = new SpeedEstimate();
    // What WebGPU reports beside its results, such as a bind group that is not valid, makes the results worthless.
    opened.device.addEventListener("uncapturederror", ({ error }) => {
      fail(new Error(`the GPU reports: ${error.message}`), generation);
    });
    void opened.lost.then((reason) => {
      post({ type: "lost", reason });
      endGeneration("the GPU device was lost");
      return start();
    });
    post({ type: "gpu", gpu: describeGpu(opened) });
  } catch (error) {
    const { name, message } = error as Error;
    post({ type: "unsupported", title: name, advice: message });
  }
}

/** Tells the server how fast this worker is, if there is time to find out before it is given work. */
async function sayMeasured(): Promise<void> {
  const measured = estimate;
  if (!measured.speed && !probing) {
    probing = true;
    // A device that is lost meanwhile is met elsewhere.
    const rates = await probe(gpu!, pace, () => generation !== null).catch(() => null);
    probing = false;
    if (rates) measured.probed(rates);
  }
  if (measured === estimate && measured.speed) post({ type: "speed", speed: measured.speed });
}

function deliver(from: string, frame: ArrayBuffer): void {
  try {
    if (frameKind(frame) === "wanted") {
      const answer = answerWanted(held, decodeFrame(frame));
      post({ type: "frame", to: from, frame: answer }, [answer]);
    } else generation?.channel.deliver(from, frame);
  } catch (error) {
    fail(error, generation);
  }
}

function take(order: TrainerOrder): void {
  if (order.type === "assign") {
    endGeneration("a new assignment came");
    const channel = new Channel(order.runNumber, order.generation, (to, frame) =>
      post({ type: "frame", to, frame }, [frame]),
    );
    generation = { assignment: order, channel, meter: new Meter(), stage: null, loaded: null };
  } else if (order.type === "release" || (order.type === "hold" && order.interrupts)) {
    // What still waits for a frame would wait for ever: end it before the order's turn comes.
    const reason = order.type === "release" ? order.reason : "the generation is over";
    if (generation?.assignment.generation === order.generation) generation.channel.close(reason);
  }
  const current = generation;
  orders = orders
    .then(() => {
      current?.meter.idle(performance.now() - lastOrderEnded);
      return carryOut(order, current);
    })
    .catch((error: unknown) => fail(error, current))
    .then(() => void (lastOrderEnded = performance.now()));
}

async function carryOut(order: TrainerOrder, current: Generation | null): Promise<void> {
  if (order.type === "release") {
    // By the time a release's turn comes, the next generation may have begun: that one stays.
    if (current === generation && current?.assignment.generation === order.generation) {
      endGeneration(order.reason);
    }
    if (held && held.generation <= order.generation) held = null;
    report({ type: "released", generation: order.generation });
    return;
  }
  if (order.type === "hold") {
    if (current === generation && current?.assignment.generation === order.generation) {
      await hold(current, order.of);
    }
    report({ type: "held", generation: order.generation, kept: held?.generation === order.of });
    return;
  }
  if (!current || current !== generation || current.assignment.generation !== order.generation) return;
  if (order.type === "assign") return load(current);
  const { trainer, save } = current.loaded!;
  if (order.type === "step") {
    // All have what they took: the generation has begun.
    if (held && held.generation < order.generation) held = null;
    report({ type: "ready", generation: order.generation, step: order.step, ...(await trainer.step(order)) });
  } else if (order.type === "commit") {
    await trainer.commit(order);
  } else if (order.type === "validate") {
    report({
      type: "validated",
      generation: order.generation,
      step: order.step,
      ...(await trainer.validate(order)),
    });
  } else if (order.type === "exchange") {
    await trainer.exchange(order);
  } else if (order.type === "merge") {
    report({
      type: "merged",
      generation: order.generation,
      step: order.step,
      ...(await trainer.merge(order)),
    });
  } else if (order.type === "repair") {
    await trainer.repair(order);
    report({ type: "repaired", generation: order.generation, step: order.step });
  } else if (order.type === "sample") {
    const tokens = await trainer.sample(order);
    report({ type: "sampled", generation: order.generation, step: order.step, tokens });
  } else {
    report({ type: "saved", generation: order.generation, step: order.step, shard: await save() });
  }
}

/** Ends the generation. Its state is kept, unless one of another generation is asked for. */
async function hold(current: Generation, of: number): Promise<void> {
  // A state that cannot be read back is not kept: the run goes on from another.
  if (current.loaded && current.assignment.generation === of) {
    held = await current.loaded.hold().catch(() => null);
  }
  if (current === generation) endGeneration("the generation is over");
}

async function load(current: Generation): Promise<void> {
  const { assignment, channel, meter } = current;
  const { config, plan } = assignment;
  const position = positionOf(plan, self)!;
  const spec = stageOn(gpu!.device, stageSpecOf(config, plan.replicas[position.replica]!, position.stage));
  post({ type: "needs", stageBytes: stageBytes(spec) });
  const [stage, tokens] = await Promise.all([createStage(gpu!, spec), loadTokens(assignment.tokens)]);
  if (current !== generation) {
    stage.destroy();
    return;
  }
  const loaded = await loadTrainer({
    self,
    assignment,
    spec,
    stage,
    channel,
    meter,
    pacer,
    estimate,
    tokens,
    blobs,
    held,
  }).catch((error: unknown) => {
    stage.destroy();
    throw error;
  });
  if (current !== generation) {
    stage.destroy();
    return;
  }
  Object.assign(current, { loaded, stage });
  // What comes before training is no step's time.
  meter.take();
  report({ type: "prepared", generation: assignment.generation, stageBytes: stageBytes(spec) });
}

async function createStage(gpu: Gpu, spec: StageSpec): Promise<Stage> {
  const onSearch = (searching: boolean) => post({ type: "tuning", searching });
  return Stage.create(gpu, spec, searches ? await tune(gpu, spec, onSearch) : tuningFor(gpu));
}

async function loadTokens({
  hash,
  bytesPerToken,
  validFrom,
}: TokenSource): Promise<{ train: Tokens; valid: Tokens }> {
  const ArrayType = { 1: Uint8Array, 2: Uint16Array, 4: Uint32Array }[bytesPerToken];
  const tokens = new ArrayType(await blobs.get(hash));
  return { train: tokens.subarray(0, validFrom), valid: tokens.subarray(validFrom) };
}

function endGeneration(reason: string): void {
  generation?.channel.close(reason);
  generation?.stage?.destroy();
  generation = null;
}

/** Tells the coordinator why this generation cannot go on; that it ended is no news. */
function fail(error: unknown, failed: Generation | null): void {
  if (error instanceof GenerationEnded || !failed || failed !== generation) return;
  const { generation: number } = failed.assignment;
  const message = (error instanceof Error ? error.message : String(error)).slice(0, 2000);
  endGeneration("it failed");
  report({ type: "failed", generation: number, message, fatal: error instanceof DoesNotFit });
}
