// A pipeline stage on the GPU: a contiguous range of blocks, with the embedding and the head where it has the
// model's ends. All buffers, pipelines and bind groups are made once; a step only replays and copies.
// Not here: the order of microbatches and the wire (web/worker/trainer.ts), what its programs consist of
// (stage-operations.ts).
// All arrays are f32, row-major; offsets count elements of the canonical flat space (core/model/parameters.ts).
import { IGNORE } from "../../core/data/batch.ts";
import { tokenSegments } from "../../core/data/token-segments.ts";
import {
  decayBits,
  EMBEDDING,
  headWidth,
  ownedSegment,
  ownedTensors,
  parameterSpace,
  type Segment,
  type Tensor,
} from "../../core/model/parameters.ts";
import {
  arrayOf,
  NORM_PARTS,
  planMemory,
  planStaging,
  stageBytes,
  type StageSpec,
} from "../../core/plan/memory.ts";
import { rotations } from "../../core/model/rotations.ts";
import { Commands } from "./commands.ts";
import { DoesNotFit, type Gpu } from "./device.ts";
import { KernelRegistry } from "./kernels.ts";
import { allocate, checkTensors, stageOn } from "./memory.ts";
import { profile, type KernelTime } from "./profile.ts";
import { Program, type Operation } from "./program.ts";
import { mapped, Readback } from "./readback.ts";
import { StageOperations } from "./stage-operations.ts";
import { StageSnapshot } from "./stage-snapshot.ts";
import { tuningFor, type Tuning } from "./tuning.ts";
import { workDone } from "./waiting.ts";

/** What of a stage's owned segment is read or written: parameters, AdamW's first and its second moment. */
export const STAGE_STATES = ["parameters", "m", "v"] as const;
export type StageState = (typeof STAGE_STATES)[number];

interface SlotPrograms {
  readonly forward: Program;
  readonly evaluate: Program;
  /** Whole, or its two halves. */
  readonly backward: readonly Program[];
}

export class Stage {
  /** The range of the canonical flat space that this stage owns. */
  readonly segment: Segment;
  readonly #device: GPUDevice;
  readonly #spec: StageSpec;
  readonly #tensors: ReadonlyMap<string, Tensor>;
  readonly #buffers: ReadonlyMap<string, GPUBuffer>;
  readonly #staging: ReadonlyMap<string, GPUBuffer>;
  readonly #commands: Commands;
  readonly #readback: Readback;
  readonly #operations: StageOperations;
  #slots: readonly SlotPrograms[] = [];
  #optimizer: Program | null = null;
  #norm: Program | null = null;
  #addLent: Program | null = null;
  #rowLogits: Program | null = null;
  #renewHalves: Program | null = null;
  /** Whether weights were written since their copies in f16 were made. */
  #halvesAreOld = false;

  private constructor({ device }: Gpu, spec: StageSpec, tuning: Tuning) {
    const space = parameterSpace(spec.model);
    this.#device = device;
    this.#spec = spec;
    this.segment = ownedSegment(space, spec.range);
    this.#tensors = new Map(ownedTensors(space, spec.range).map((tensor) => [tensor.name, tensor]));
    checkTensors(device, this.#tensors.values());
    const { STORAGE, COPY_SRC, COPY_DST, MAP_READ, UNIFORM } = GPUBufferUsage;
    const memory = new Map(planMemory(spec));
    const update = memory.get("update")!;
    memory.delete("update");
    this.#buffers = new Map([
      ...allocate(device, memory, STORAGE | COPY_SRC | COPY_DST),
      ...allocate(device, new Map([["update", update]]), UNIFORM | COPY_DST),
    ]);
    const staging = new Map(planStaging(spec));
    const upload = staging.get("upload")!;
    staging.delete("upload");
    this.#staging = new Map([
      ...allocate(device, staging, MAP_READ | COPY_DST),
      ...allocate(device, new Map([["upload", upload]]), COPY_SRC | COPY_DST),
    ]);
    this.#commands = new Commands(device, this.#staging.get("upload")!);
    this.#readback = new Readback(this.#commands, this.#staging.get("staging")!);
    this.#operations = new StageOperations(spec, {
      segment: this.segment,
      tensors: this.#tensors,
      buffers: this.#buffers,
      maxBinding: device.limits.maxStorageBufferBindingSize,
      tuning,
    });
  }

  /**
   * Allocates the stage, zero everywhere, and compiles its kernels. A specification that the device has not the
   * features for is met as `stageOn` says.
   * @throws DoesNotFit when a buffer or a tensor is over one of the GPU's limits
   */
  static async create(gpu: Gpu, asked: StageSpec, tuning: Tuning = tuningFor(gpu)): Promise<Stage> {
    const spec = stageOn(gpu.device, asked);
    gpu.device.pushErrorScope("out-of-memory");
    const stage = new Stage(gpu, spec, tuning);
    if (await gpu.device.popErrorScope()) {
      stage.destroy();
      throw new DoesNotFit(`this GPU has no room for the ${stageBytes(spec)} bytes that the stage needs`);
    }
    await stage.#record(KernelRegistry.of(gpu.device));
    stage.#write("decay", decayBits(stage.#tensors.values(), stage.segment));
    stage.#write("turns", rotations(spec.model.context, headWidth(spec.model), spec.model.ropeTheta));
    return stage;
  }

  /**
   * Tokens of a microbatch, [B*T] each: inputs where the stage embeds, targets where it has the head.
   * @throws RangeError for a token that is not in the vocabulary: a kernel would read or write another's memory
   */
  setTokens(
    slot: number,
    inputs: Uint32Array<ArrayBuffer> | null,
    targets: Uint32Array<ArrayBuffer> | null,
  ): void {
    const { vocab } = this.#spec.model;
    const isForeign = (token: number) => token >= vocab && token !== IGNORE;
    if (inputs?.some((token) => token >= vocab) || targets?.some(isForeign)) {
      throw new RangeError(`a token is not below the vocabulary of ${vocab}`);
    }
    if (inputs) {
      this.#write(`slot${slot}.tokens`, inputs);
      this.#write(`slot${slot}.segments`, tokenSegments(inputs));
    }
    if (targets) this.#write(`slot${slot}.targets`, targets);
  }

  /**
   * Runs the stage forward and keeps what `backward` needs. `input`: [B,T,C], absent where the stage embeds.
   * With the head it also adds the loss and does the head's backward, and `backward` of the same slot must come
   * next.
   */
  forward(slot: number, input?: Float32Array): void {
    this.#runForward(slot, this.#slots[slot]!.forward, input);
  }

  /** Forward and loss only. */
  evaluate(slot: number, input?: Float32Array): void {
    this.#runForward(slot, this.#slots[slot]!.evaluate, input);
  }

  /** Adds to the parameters' gradients. `outputGradient`: [B,T,C], absent where the stage has the head. */
  backward(slot: number, outputGradient?: Float32Array): void {
    this.#runBackward(slot, this.#slots[slot]!.backward, outputGradient);
  }

  /** As `backward`, but for the gradients of blocks' weights. On a stage that is `split`. */
  backwardInput(slot: number, outputGradient?: Float32Array): void {
    this.#runBackward(slot, [this.#splitBackward(slot)[0]], outputGradient);
  }

  /** Adds what the slot's `backwardInput` left out; before the slot's next forward. */
  backwardWeights(slot: number): void {
    this.#commands.run(this.#splitBackward(slot)[1]);
    this.#commands.flush();
  }

  /** Output of the slot's last forward or evaluate, [B,T,C]; one read at a time. */
  output(slot: number): Promise<Float32Array<ArrayBuffer>> {
    return mapped(this.#device.queue, this.#staging.get(`output${slot}`)!, this.#activationSize);
  }

  /** Gradient by the slot's input of its last backward, [B,T,C]; one read at a time. */
  inputGradient(slot: number): Promise<Float32Array<ArrayBuffer>> {
    return mapped(this.#device.queue, this.#staging.get(`inputGradient${slot}`)!, this.#activationSize);
  }

  /** Sets the gradients and the loss to zero. */
  zero(): void {
    for (const name of ["gradient", "losses"]) this.#commands.clear(this.#buffer(name));
    if (this.#buffers.has("borrowed")) this.#commands.clear(this.#buffer("borrowedGradient"));
  }

  resetLoss(): void {
    this.#commands.clear(this.#buffer("losses"));
  }

  /** Sum of -ln p over the rows since the loss was last zero, nats; NaN or infinite when any was. */
  async lossSum(): Promise<number> {
    return sum(await this.#read("losses", 0, this.#rows));
  }

  /** The loss as `lossSum`, and the squared L2 norm of the owned gradient; NaN or infinite when any value is. */
  async sums(): Promise<{ lossSum: number; squaredNorm: number }> {
    this.#commands.run(this.#norm!);
    const parts = this.#operations.windows().length * NORM_PARTS;
    const values = await this.#readback.read(
      { buffer: this.#buffer("partials"), first: 0, count: parts },
      { buffer: this.#buffer("losses"), first: 0, count: this.#rows },
    );
    return { squaredNorm: sum(values.subarray(0, parts)), lossSum: sum(values.subarray(parts)) };
  }

  /** Gradient of the owned segment, padding included. */
  gradient(): Promise<Float32Array<ArrayBuffer>> {
    return this.#read("gradient", 0, this.#size);
  }

  setGradient(values: Float32Array, start: number): void {
    this.#write("gradient", values, start - this.segment.start);
  }

  /** One AdamW update of what the stage owns. `step` counts from 1; the gradient is multiplied by `scale`. */
  apply({ step, scale, lr }: { step: number; scale: number; lr: number }): void {
    const { beta1, beta2, eps, weightDecay } = this.#spec.optimizer;
    const corrections = [1 / (1 - beta1 ** step), 1 / (1 - beta2 ** step)];
    this.#write("update", Float32Array.of(scale, lr, beta1, beta2, eps, weightDecay, ...corrections));
    this.#commands.run(this.#optimizer!);
    this.#halvesAreOld = true;
    this.#commands.flush();
  }

  /** The owned segment, padding included, or only `segments` of it, behind each other. */
  read(what: StageState, segments: readonly Segment[] = [this.segment]): Promise<Float32Array<ArrayBuffer>> {
    const ranges = segments.map(({ start, end }) => ({
      buffer: this.#buffer(what),
      first: start - this.segment.start,
      count: end - start,
    }));
    return this.#readback.read(...ranges);
  }

  /** The owned segment as it is now, to be read later, whatever is done to the stage until then. */
  snapshot(): Promise<StageSnapshot> {
    const buffers = new Map(STAGE_STATES.map((what) => [what, this.#buffer(what)]));
    return StageSnapshot.take(this.#device, this.#commands, buffers, (what) => this.read(what));
  }

  write(what: StageState, values: Float32Array, start: number): void {
    this.#write(what, values, start - this.segment.start);
    this.#halvesAreOld = true;
  }

  /** Values of the tied embedding, [V*C], from the stage that owns it. */
  readEmbedding(): Promise<Float32Array<ArrayBuffer>> {
    const { offset, size } = this.#tensors.get(EMBEDDING)!;
    return this.#read("parameters", offset - this.segment.start, size);
  }

  /** Renews the copy of the tied embedding on a stage that borrows it, [V*C]. */
  writeEmbedding(values: Float32Array): void {
    this.#write("borrowed", values);
    this.#halvesAreOld = true;
  }

  /** Gradient of the borrowed copy, [V*C]. */
  embeddingGradient(): Promise<Float32Array<ArrayBuffer>> {
    return this.#read("borrowedGradient", 0, this.#embeddingSize);
  }

  /** Adds the gradient of a borrowed copy, [V*C], to the owner's. */
  addEmbeddingGradient(values: Float32Array): void {
    this.#write("lent", values);
    this.#commands.run(this.#addLent!);
  }

  /** Logits [V] of a row of the last `evaluate`, whichever the slot; where the stage has the head. */
  logits(row: number): Promise<Float32Array<ArrayBuffer>> {
    const { width: C, vocab } = this.#spec.model;
    this.#commands.copy(this.#buffer("normed"), row * C * 4, this.#buffer("probe"), 0, C * 4);
    this.#commands.run(this.#rowLogits!);
    return this.#read("probeLogits", 0, vocab);
  }

  /** Time of each dispatch of a slot's forward, backward and the optimizer. The stage's contents are lost over it. */
  async profile(slot: number): Promise<KernelTime[]> {
    this.#commands.flush();
    const { forward, backward } = this.#slots[slot]!;
    const times: KernelTime[] = [];
    const programs = [forward, ...backward, this.#norm!, this.#optimizer!, this.#renewHalves];
    for (const program of programs.filter((program) => program !== null)) {
      times.push(...(await profile(this.#device, program)));
    }
    return times;
  }

  /** Resolves when the GPU has done what was submitted so far. */
  idle(): Promise<void> {
    return workDone(this.#device.queue);
  }

  /** Submits what was told so far, and resolves when the GPU has done it. */
  finish(): Promise<void> {
    this.#commands.flush();
    return this.idle();
  }

  /** Frees the GPU memory once the work already submitted is done. */
  destroy(): void {
    this.#commands.flush();
    const buffers = [...this.#buffers.values(), ...this.#staging.values()];
    void workDone(this.#device.queue).then(() => {
      for (const buffer of buffers) buffer.destroy();
    });
  }

  get #size(): number {
    return this.segment.end - this.segment.start;
  }

  get #rows(): number {
    return this.#spec.microbatch * this.#spec.model.context;
  }

  get #activationSize(): number {
    return this.#rows * this.#spec.model.width;
  }

  get #embeddingSize(): number {
    return this.#spec.model.vocab * this.#spec.model.width;
  }

  #buffer(name: string): GPUBuffer {
    const buffer = this.#buffers.get(arrayOf(name));
    if (!buffer) throw new Error(`this stage has no buffer '${name}'`);
    return buffer;
  }

  #write(name: string, values: Float32Array | Uint32Array, offset = 0): void {
    this.#commands.write(this.#buffer(name), offset * 4, values);
  }

  #read(name: string, first: number, count: number): Promise<Float32Array<ArrayBuffer>> {
    return this.#readback.read({ buffer: this.#buffer(name), first, count });
  }

  #runForward(slot: number, program: Program, input?: Float32Array): void {
    const { range } = this.#spec;
    if (input) this.#write(`slot${slot}.block${range.first}.x`, input);
    if (this.#halvesAreOld && this.#renewHalves) this.#commands.run(this.#renewHalves);
    this.#halvesAreOld = false;
    this.#commands.run(program);
    if (!range.head) this.#send(`slot${slot}.y`, `output${slot}`);
  }

  #runBackward(slot: number, programs: readonly Program[], outputGradient?: Float32Array): void {
    if (outputGradient) this.#write("stream", outputGradient);
    for (const program of programs) this.#commands.run(program);
    const { embed, head } = this.#spec.range;
    if (!embed) this.#send("stream", `inputGradient${slot}`);
    else if (!head) this.#commands.flush(); // The next gradient may be long in coming.
  }

  #splitBackward(slot: number): readonly [Program, Program] {
    const [input, weights] = this.#slots[slot]!.backward;
    if (!input || !weights) throw new Error("this stage's backward is whole: make it with `split`");
    return [input, weights];
  }

  /** Starts an activation's way to the staging buffer it is read from. */
  #send(from: string, to: string): void {
    this.#commands.copy(this.#buffer(from), 0, this.#staging.get(to)!, 0, this.#activationSize * 4);
    this.#commands.flush();
  }

  async #record(kernels: KernelRegistry): Promise<void> {
    const record = (operations: Operation[]) => Program.record(this.#device, kernels, operations);
    const operations = this.#operations;
    const slots = Array.from({ length: this.#spec.slots }, async (_, slot) => {
      const [forward, evaluate, backward] = await Promise.all([
        record(operations.forward(slot, true)),
        record(operations.forward(slot, false)),
        Promise.all(operations.backward(slot).map(record)),
      ]);
      return { forward, evaluate, backward };
    });
    [this.#slots, this.#optimizer, this.#norm, this.#addLent, this.#rowLogits, this.#renewHalves] =
      await Promise.all([
        Promise.all(slots),
        record(operations.optimizer()),
        record(operations.squaredNorm()),
        this.#buffers.has("lent") ? record(operations.addLent()) : null,
        this.#spec.range.head ? record(operations.rowLogits()) : null,
        this.#spec.precision === "f16" ? record(operations.renewHalves()) : null,
      ]);
  }
}

function sum(values: Float32Array): number {
  return values.reduce((total, value) => total + value, 0);
}
