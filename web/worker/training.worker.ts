// The dedicated worker: holds the GPU device and at most one generation's stage, and does what the coordinator orders,
// in the order that orders.ts keeps. Peer connections and the control socket stay on the page (session.ts), because a
// data channel made by a library cannot be moved here.
import type { Tokens } from "../../core/data/batch.ts";
import { stageBytes, stageSpecOf, type StageSpec } from "../../core/plan/memory.ts";
import { positionOf } from "../../core/plan/plan.ts";
import { errorText, type Doing, type TokenSource } from "../../core/protocol/control.ts";
import { decodeFrame, frameKind } from "../../core/protocol/frame.ts";
import { DoesNotFit, openGpu, type Gpu } from "../engine/device.ts";
import { stageOn } from "../engine/memory.ts";
import { Stage } from "../engine/stage.ts";
import { isStalled } from "../engine/submissions.ts";
import { tuningFor } from "../engine/tuning.ts";
import { BlobClient } from "./blobs.ts";
import { Channel } from "./channel.ts";
import { describeGpu } from "./describe-gpu.ts";
import { answerWanted, type HeldState } from "./held-state.ts";
import { loadTrainer, type LoadedTrainer } from "./load-trainer.ts";
import { Meter } from "./meter.ts";
import { Orders, type Release } from "./orders.ts";
import { Pacer } from "./pacer.ts";
import { probe } from "./probe.ts";
import { Saver, unsaved } from "./saver.ts";
import { SpeedEstimate } from "./speed-estimate.ts";
import { tune } from "./tune.ts";
import type { Assignment, FromTrainer, ToTrainer, TrainerOrder, TrainerReport } from "./worker-messages.ts";

type Hold = Extract<TrainerOrder, { type: "hold" }>;
type Discard = Extract<TrainerOrder, { type: "discard" }>;
type Conclude = Extract<TrainerOrder, { type: "conclude" }>;
type Repair = Extract<TrainerOrder, { type: "repair" }>;
type Work = Exclude<TrainerOrder, Assignment | Release | Hold | Discard | Conclude | Repair>;

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
/** Of a generation that ended, until the next has begun. */
let held: HeldState | null = null;
const saver = new Saver(report);
/** From then on until the next one begins, the coordinator's word is waited for. */
let lastOrderEnded = performance.now();

const orders = new Orders<Assignment, Work, Hold, Generation>({
  begin(assignment) {
    saver.dropUnlessOf(assignment.run);
    const channel = new Channel(assignment.runNumber, assignment.generation, (to, frame) =>
      post({ type: "frame", to, frame }, [frame]),
    );
    return { assignment, channel, meter: new Meter(), stage: null, loaded: null };
  },
  interrupt: ({ channel }, reason) => channel.close(reason),
  end({ channel, stage }, reason) {
    channel.close(reason);
    stage?.destroy();
  },
  async carryOut(order, generation) {
    generation.meter.idle(performance.now() - lastOrderEnded);
    try {
      if (order.type === "assign") await load(generation);
      else await work(order, generation);
    } finally {
      lastOrderEnded = performance.now();
    }
  },
  missed(order) {
    if (order.type === "save") report(unsaved(order, "its generation ended before its turn came"));
  },
  async keep({ of }, { assignment, loaded }) {
    // A state that cannot be read back is not kept: the run goes on from another.
    if (loaded && assignment.generation === of) held = await loaded.hold().catch(() => null);
  },
  over(order, ended) {
    const { generation } = order;
    if (order.type === "hold") {
      report({ type: "held", generation, kept: held?.generation === order.of });
    } else {
      if (held && held.generation <= generation) held = null;
      ended?.meter.idle(performance.now() - lastOrderEnded);
      report({ type: "released", generation, ...(ended && { times: ended.meter.take() }) });
    }
  },
  failed(error, generation) {
    report({ type: "failed", generation, message: errorText(error), fatal: error instanceof DoesNotFit });
  },
});

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
    // The server knows this worker by another name now.
    saver.drop();
    void sayMeasured();
  } else if (data.type === "order") {
    const { order } = data;
    if (order.type === "discard") saver.drop();
    else if (order.type === "conclude") conclude(order);
    else if (order.type === "repair") orders.beside(order, (generation) => repair(order, generation));
    else orders.take(order);
  } else if (data.type === "frame") deliver(data.from, data.frame);
  else if (data.type === "check") post({ type: "alive", doing: doing() });
  else if (data.type === "broken") orders.current?.channel.lose(data.peer, data.reason);
  else {
    held = null;
    orders.end(data.reason);
  }
});

function post(message: FromTrainer, transfer: Transferable[] = []): void {
  postMessage(message, { transfer });
}

function doing(): Doing {
  if (gpu && isStalled(gpu.device.queue)) return "stalled";
  const isAtWork = (orders.isBusy && !orders.current?.meter.isWaiting) || saver.isBusy;
  return isAtWork ? "working" : "waiting";
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
      orders.fail(new Error(`the GPU reports: ${error.message}`));
    });
    void opened.lost.then((reason) => {
      post({ type: "lost", reason });
      orders.end("the GPU device was lost");
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
    const rates = await probe(gpu!, pace, () => orders.current !== null).catch(() => null);
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
    } else orders.current?.channel.deliver(from, frame);
  } catch (error) {
    orders.fail(error);
  }
}

/** At once: other orders may wait for it. */
function conclude(order: Conclude): void {
  const current = orders.current;
  if (current?.assignment.generation === order.generation) current.loaded!.trainer.conclude(order);
}

async function repair(order: Repair, { loaded }: Generation): Promise<void> {
  await loaded!.trainer.repair(order);
  report({ type: "repaired", generation: order.generation, step: order.step });
}

async function work(order: Work, { loaded, assignment }: Generation): Promise<void> {
  const { trainer, draft } = loaded!;
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
    const { generation, step } = order;
    const { arrived } = await trainer.exchange(order);
    // A failure is met where the exchange takes effect.
    arrived.then(
      () => report({ type: "exchanged", generation, step }),
      () => {},
    );
  } else if (order.type === "merge") {
    report({
      type: "merged",
      generation: order.generation,
      step: order.step,
      ...(await trainer.merge(order)),
    });
  } else if (order.type === "renew") {
    await trainer.renew(order);
    report({ type: "renewed", generation: order.generation, step: order.step });
  } else if (order.type === "sample") {
    const tokens = await trainer.sample(order);
    report({ type: "sampled", generation: order.generation, step: order.step, tokens });
  } else {
    await saver.begin(order, assignment.run, draft, blobs);
  }
}

async function load(current: Generation): Promise<void> {
  const { assignment, channel, meter } = current;
  const { config, plan } = assignment;
  const position = positionOf(plan, self)!;
  const spec = stageOn(gpu!.device, stageSpecOf(config, plan.replicas[position.replica]!, position.stage));
  post({ type: "needs", stageBytes: stageBytes(spec) });
  const [stage, tokens] = await Promise.all([createStage(gpu!, spec), loadTokens(assignment.tokens)]);
  if (current !== orders.current) {
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
  if (current !== orders.current) {
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
