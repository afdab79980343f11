// One generation's work on one worker: runs its stage through the steps that the coordinator orders.
// It owns the order of operations; kernels are the Stage's, bytes the Channel's, decisions the coordinator's.
// Not here: joining, links and the page (session.ts), or loading state (stage-state.ts).
import { trainingBatch, windowBatch, windowCount, type Batch, type Tokens } from "../../core/data/batch.ts";
import { sampleToken } from "../../core/data/sampling.ts";
import {
  embeddingSegment,
  borrowsEmbedding,
  parameterSpace,
  type Segment,
  type StageRange,
} from "../../core/model/parameters.ts";
import { positionOf, type Position, type Replica } from "../../core/plan/plan.ts";
import { orderOf } from "../../core/plan/order.ts";
import { EMBEDDING_FRAGMENT } from "../../core/plan/rounds.ts";
import type { WorkerSpeed } from "../../core/plan/speed.ts";
import { flopsOf, type StageWork, type Work } from "../../core/plan/work.ts";
import type { Times } from "../../core/protocol/control.ts";
import type { FrameKind } from "../../core/protocol/frame.ts";
import { Random } from "../../core/random.ts";
import type { Place } from "./channel.ts";
import { GradientSum, type GradientSumParts } from "./gradient-sum.ts";
import type { OuterLoop } from "./outer-loop.ts";
import type { Pacer } from "./pacer.ts";
import type { SpeedEstimate } from "./speed-estimate.ts";
import type { Order } from "./worker-messages.ts";

/** Tells the embedding's second journey of a step, after a merge, from its first, after the commit. */
const AFTER_MERGE = 1;

/** Null where the value is not finite: JSON has no NaN, and the coordinator stops the run on it. */
type Sum = number | null;

export interface TrainerParts extends GradientSumParts {
  readonly range: StageRange;
  readonly slots: number;
  /** What the stage computes for a microbatch. */
  readonly work: StageWork;
  /** Null where the worker is as fast as it can be. */
  readonly pacer: Pacer | null;
  /** What is known of this worker's speed; every step but the first says more. */
  readonly estimate: SpeedEstimate;
  /** Of strategy `rounds`. */
  readonly outerLoop: OuterLoop | null;
  readonly tokens: { readonly train: Tokens; readonly valid: Tokens };
}

export class Trainer {
  readonly #parts: TrainerParts;
  readonly #position: Position;
  readonly #replica: Replica;
  /** Neighbours in the pipeline; the first has no previous one, the last no next. */
  readonly #previous: string | undefined;
  readonly #next: string | undefined;
  readonly #sum: GradientSum;
  /** Whether it has done a step: in the first one, much happens that happens only once. */
  #stepped = false;
  /** Reads of a slot still on their way: a slot's staging buffer serves one read at a time. */
  readonly #reads: Promise<void>[];

  constructor(parts: TrainerParts) {
    const { assignment, self, slots } = parts;
    this.#parts = parts;
    this.#position = positionOf(assignment.plan, self)!;
    this.#replica = assignment.plan.replicas[this.#position.replica]!;
    this.#previous = this.#replica.stages[this.#position.stage - 1]?.worker;
    this.#next = this.#replica.stages[this.#position.stage + 1]?.worker;
    this.#sum = new GradientSum(parts, this.#replica.site);
    this.#reads = Array.from({ length: slots }, () => Promise.resolve());
  }

  /** Computes and reduces the gradient of a step. Sums are over this replica's tokens for the loss. */
  async step({ step }: Order<"step">): Promise<{
    squaredNorm: Sum;
    lossSum?: Sum;
    tokens: number;
    times: Times;
    speed?: WorkerSpeed;
  }> {
    const { assignment, stage, range, tokens, meter } = this.#parts;
    const { config } = assignment;
    const { microbatches } = this.#replica;
    this.#parts.pacer?.begin();
    // Validation, samples and checkpoints may have come since the last step.
    const atWorkBefore = meter.atWork;
    stage.zero();
    let count = 0;
    for (const { kind, index } of orderOf(this.#replica, this.#position.stage)) {
      const microbatch = microbatches[index]!;
      const slot = index % this.#parts.slots;
      if (kind === "weights") {
        stage.backwardWeights(slot);
        await this.#pace(this.#parts.work.weights);
        continue;
      }
      await this.#reads[slot];
      if (kind === "forward") {
        const batch = trainingBatch(config, tokens.train, step, microbatch);
        count += batch.tokens;
        this.#setTokens(slot, batch);
        stage.forward(slot, await this.#input(step, microbatch));
        await this.#pace(this.#parts.work.forward);
        this.#sendOutput(slot, step, microbatch);
      } else {
        const gradient = this.#next
          ? await this.#receive(this.#next, "gradient", { step, microbatch }, this.#activationSize)
          : undefined;
        if (kind === "input") stage.backwardInput(slot, gradient);
        else stage.backward(slot, gradient);
        await this.#pace(this.#parts.work[kind]);
        this.#sendInputGradient(slot, step, microbatch);
      }
    }
    await Promise.all(this.#reads);
    await this.#foldTiedEmbedding(step);
    const sums = await this.#sum.take(step);
    const squaredNorm = finite(sums.squaredNorm);
    this.#learnSpeed(meter.atWork - atWorkBefore);
    const times = meter.take();
    const { speed } = this.#parts.estimate;
    const result = { squaredNorm, tokens: count, times, ...(speed && { speed }) };
    return range.head ? { ...result, lossSum: finite(sums.lossSum) } : result;
  }

  /** Applies the optimizer, then brings the head's copy of a tied embedding up to date. */
  async commit({ step, scale, lr }: Order<"commit">): Promise<void> {
    const { stage } = this.#parts;
    stage.apply({ step, scale, lr });
    await this.#renewEmbedding({ step });
  }

  /** Begins exchanges with other sites. `arrived` settles when there is a conclusion to be drawn from them. */
  exchange(order: Order<"exchange">): Promise<{ arrived: Promise<void> }> {
    return this.#parts.outerLoop!.exchange(order);
  }

  conclude(order: Order<"conclude">): void {
    this.#parts.outerLoop!.conclude(order);
  }

  /** Lets exchanges take effect. */
  async merge(order: Order<"merge">): Promise<{ anchors: Record<string, number> }> {
    const { outerLoop, assignment } = this.#parts;
    const anchors = await outerLoop!.merge(order);
    if (assignment.config.model.tied && order.fragments.includes(EMBEDDING_FRAGMENT)) {
      await this.#renewEmbedding({ step: order.step, microbatch: AFTER_MERGE });
    }
    return { anchors };
  }

  async repair(order: Order<"repair">): Promise<void> {
    await this.#parts.outerLoop!.repair(order);
  }

  /** A part of the model becomes what sites agree on. */
  async renew(order: Order<"renew">): Promise<void> {
    await this.#parts.outerLoop!.renew(order);
    if (this.#parts.assignment.config.model.tied && order.part === "embed") {
      await this.#renewEmbedding({ step: order.step, microbatch: AFTER_MERGE });
    }
  }

  /** Loss over this replica's share of the validation windows. */
  async validate({ step }: Order<"validate">): Promise<{ lossSum: Sum; tokens: number }> {
    const { assignment, stage, tokens, slots } = this.#parts;
    const { microbatch: B, model } = assignment.config;
    const batches = Math.ceil(windowCount(tokens.valid.length, model.context) / B);
    this.#parts.pacer?.begin();
    stage.resetLoss();
    let count = 0;
    for (let i = this.#position.replica; i < batches; i += assignment.plan.replicas.length) {
      const batch = windowBatch(tokens.valid, i * B, B, model.context);
      const slot = i % slots;
      await this.#reads[slot];
      count += batch.tokens;
      this.#setTokens(slot, batch);
      stage.evaluate(slot, await this.#input(step, i));
      await this.#pace(this.#parts.work.evaluate);
      this.#sendOutput(slot, step, i);
    }
    await Promise.all(this.#reads);
    return { lossSum: this.#parts.range.head ? finite(await stage.lossSum()) : 0, tokens: count };
  }

  /**
   * Continues a prompt, one token at a time through the whole pipeline; the head's stage draws it and tells the
   * first. Only the rows that matter travel. Returns the new tokens.
   */
  async sample({ step, prompt, tokens: wanted, temperature, seed }: Order<"sample">): Promise<number[]> {
    const { assignment, stage, channel, range, meter } = this.#parts;
    const { width: C, context: T } = assignment.config.model;
    const random = new Random(seed);
    const text = [...prompt];
    this.#parts.pacer?.begin();
    for (let i = 0; i < wanted; i++) {
      const rows = Math.min(T, text.length);
      const place = { step, microbatch: i };
      if (range.embed) this.#setTokens(0, promptBatch(assignment.config.microbatch * T, text.slice(-rows)));
      let input: Float32Array | undefined;
      if (this.#previous) {
        input = new Float32Array(this.#activationSize);
        input.set(await this.#receive(this.#previous, "activation", place, rows * C));
      }
      stage.evaluate(0, input);
      await this.#pace(this.#parts.work.evaluate);
      if (this.#next) {
        const output = await stage.output(0);
        channel.send(this.#next, "activation", place, output.subarray(0, rows * C), {
          shape: [1, rows, C],
          codec: assignment.config.activations,
        });
      }
      if (range.head) {
        const token = sampleToken(await stage.logits(rows - 1), temperature, random);
        if (!range.embed) channel.send(this.#first, "token", place, Uint32Array.of(token));
        text.push(token);
      } else {
        text.push(range.embed ? await this.#wait(meter.wait(channel.receiveToken(this.#last, place))) : 0);
      }
    }
    return text.slice(prompt.length);
  }

  get #first(): string {
    return this.#replica.stages[0]!.worker;
  }

  get #last(): string {
    return this.#replica.stages.at(-1)!.worker;
  }

  get #lendsEmbedding(): boolean {
    const { assignment, range } = this.#parts;
    return assignment.config.model.tied && range.embed && !range.head;
  }

  /** The head's copy of a tied embedding takes its owner's values. */
  async #renewEmbedding(place: { step: number; microbatch?: number }): Promise<void> {
    const { assignment, stage, channel, range } = this.#parts;
    if (borrowsEmbedding(assignment.config.model, range)) {
      stage.writeEmbedding(await this.#receiveEmbedding(this.#first, "embedding", place));
    } else if (this.#lendsEmbedding) {
      const values = await stage.readEmbedding();
      channel.sendSegment(this.#last, "embedding", place, this.#embedding, values);
    }
  }

  /** The head's part of the tied embedding's gradient joins the embedding's own, on the stage that owns it. */
  async #foldTiedEmbedding(step: number): Promise<void> {
    const { assignment, stage, channel, range } = this.#parts;
    if (borrowsEmbedding(assignment.config.model, range)) {
      const gradient = await stage.embeddingGradient();
      channel.sendSegment(this.#first, "embeddingGradient", { step }, this.#embedding, gradient);
    } else if (this.#lendsEmbedding) {
      stage.addEmbeddingGradient(await this.#receiveEmbedding(this.#last, "embeddingGradient", { step }));
    }
  }

  #setTokens(slot: number, batch: Pick<Batch, "inputs" | "targets">): void {
    const { stage, range } = this.#parts;
    stage.setTokens(slot, range.embed ? batch.inputs : null, range.head ? batch.targets : null);
  }

  async #input(step: number, microbatch: number): Promise<Float32Array | undefined> {
    if (!this.#previous) return undefined;
    return this.#receive(this.#previous, "activation", { step, microbatch }, this.#activationSize);
  }

  /** Of a microbatch. */
  get #activationSize(): number {
    const { microbatch, model } = this.#parts.assignment.config;
    return microbatch * model.context * model.width;
  }

  #receive(from: string, kind: FrameKind, place: Place, count: number): Promise<Float32Array> {
    return this.#arrival(this.#parts.channel.receive(from, kind, place, count));
  }

  /** The tied embedding's values, or their gradient, whole. */
  async #receiveEmbedding(from: string, kind: FrameKind, place: Place): Promise<Float32Array> {
    const segment = this.#embedding;
    const whole = new Float32Array(segment.end - segment.start);
    const write = (piece: Float32Array, start: number) => whole.set(piece, start - segment.start);
    await this.#arrival(this.#parts.channel.receiveSegment(from, kind, place, segment, write));
    return whole;
  }

  get #embedding(): Segment {
    return embeddingSegment(parameterSpace(this.#parts.assignment.config.model));
  }

  /** Waits for what another worker sends. */
  #arrival<T>(arrival: Promise<T>): Promise<T> {
    const { meter, stage } = this.#parts;
    return this.#wait(meter.wait(arrival, stage.idle()));
  }

  #wait<T>(arrival: Promise<T>): Promise<T> {
    return this.#parts.pacer?.input(arrival) ?? arrival;
  }

  #learnSpeed(seconds: number): void {
    const { work, estimate } = this.#parts;
    const { microbatches, zeroBubble } = this.#replica;
    const { length } = microbatches;
    if (this.#stepped) {
      estimate.trained({
        block: length * (work.forward.block + work.backward.block),
        head: length * (work.forward.head + work.backward.head),
        passes: (zeroBubble ? 3 : 2) * length,
        seconds,
      });
    }
    this.#stepped = true;
  }

  /** After work was told to the GPU and before its results go out. */
  async #pace(work: Work): Promise<void> {
    const { pacer, stage } = this.#parts;
    await pacer?.spend(flopsOf(work), stage.finish());
  }

  #sendOutput(slot: number, step: number, microbatch: number): void {
    if (this.#next)
      this.#sendWhenRead(slot, this.#parts.stage.output(slot), this.#next, "activation", step, microbatch);
  }

  #sendInputGradient(slot: number, step: number, microbatch: number): void {
    if (!this.#previous) return;
    const gradient = this.#parts.stage.inputGradient(slot);
    this.#sendWhenRead(slot, gradient, this.#previous, "gradient", step, microbatch);
  }

  #sendWhenRead(
    slot: number,
    read: Promise<Float32Array>,
    to: string,
    kind: "activation" | "gradient",
    step: number,
    microbatch: number,
  ): void {
    const { microbatch: B, model, activations: codec } = this.#parts.assignment.config;
    const sent = read.then((values) =>
      this.#parts.channel.send(to, kind, { step, microbatch }, values, {
        shape: [B, model.context, model.width],
        codec,
      }),
    );
    // A failed read is met where the slot is used next; until then it must not count as unhandled.
    sent.catch(() => {});
    this.#reads[slot] = sent;
  }
}

function finite(value: number): Sum {
  return Number.isFinite(value) ? value : null;
}

/** The prompt in the first rows of the first sequence; targets are not used. */
function promptBatch(size: number, prompt: number[]): Pick<Batch, "inputs" | "targets"> {
  const inputs = new Uint32Array(size);
  inputs.set(prompt);
  return { inputs, targets: new Uint32Array(size) };
}
