// A pipeline stage on the GPU: a contiguous range of blocks, with the embedding and the head where it has the
// model's ends. All buffers, pipelines and bind groups are made once; a step only replays and copies.
// Not here: the order of microbatches and the wire (web/worker/trainer.ts), what its programs consist of
// (stage-operations.ts).
// All arrays are f32, row-major; offsets count elements of the canonical flat space (core/model/parameters.ts).
import { IGNORE } from "../../core/data/batch.ts";
import { tokenSegments } from "../../core/data/token-segments.ts";
import {
  EMBEDDING,
  headWidth,
  ownedSegment,
  ownedTensors,
  parameterSpace,
  TENSOR_ALIGNMENT,
  type Segment,
  type Tensor,
} from "../../core/model/parameters.ts";
import { rotations } from "../../core/model/rotations.ts";
import { DoesNotFit, type Gpu } from "./device.ts";
import { KernelRegistry } from "./kernels.ts";
import { allocate, checkTensors, planMemory, planStaging, totalBytes, type StageSpec } from "./memory.ts";
import { NORM_PARTS } from "./operations.ts";
import { profile, type KernelTime } from "./profile.ts";
import { Program, type Operation } from "./program.ts";
import { mapped, Readback } from "./readback.ts";
import { StageOperations } from "./stage-operations.ts";
import { tuningFor, type Tuning } from "./tuning.ts";

export type { StageSpec } from "./memory.ts";

/** What of a stage's owned segment is read or written: parameters, or AdamW's first or second moment. */
export type StageState = "parameters" | "m" | "v";

interface SlotPrograms {
  readonly forward: Program;
  readonly evaluate: Program;
  readonly backward: Program;
}

export class Stage {
  /** The range of the canonical flat space that this stage owns. */
  readonly segment: Segment;
  readonly #device: GPUDevice;
  readonly #spec: StageSpec;
  readonly #tensors: ReadonlyMap<string, Tensor>;
  readonly #buffers: ReadonlyMap<string, GPUBuffer>;
  readonly #staging: ReadonlyMap<string, GPUBuffer>;
  readonly #readback: Readback;
  readonly #operations: StageOperations;
  #slots: readonly SlotPrograms[] = [];
  #optimizer: Program | null = null;
  #norm: Program | null = null;
  #addLent: Program | null = null;
  #rowLogits: Program | null = null;

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
    this.#staging = allocate(device, planStaging(spec), MAP_READ | COPY_DST);
    this.#readback = new Readback(device, this.#staging.get("staging")!);
    this.#operations = new StageOperations(spec, {
      segment: this.segment,
      tensors: this.#tensors,
      buffers: this.#buffers,
      maxBinding: device.limits.maxStorageBufferBindingSize,
      tuning,
    });
  }

  /**
   * Allocates the stage, zero everywhere, and compiles its kernels.
   * @throws DoesNotFit when a buffer or a tensor is over one of the GPU's limits
   */
  static async create(gpu: Gpu, spec: StageSpec, tuning: Tuning = tuningFor(gpu)): Promise<Stage> {
    gpu.device.pushErrorScope("out-of-memory");
    const stage = new Stage(gpu, spec, tuning);
    if (await gpu.device.popErrorScope()) {
      stage.destroy();
      throw new DoesNotFit(`this GPU has no room for the ${Stage.bytes(spec)} bytes that the stage needs`);
    }
    await stage.#record(KernelRegistry.of(gpu.device));
    stage.#writeDecayBits();
    stage.#write("turns", rotations(spec.model.context, headWidth(spec.model), spec.model.ropeTheta));
    return stage;
  }

  /** Bytes of GPU memory that a stage takes, staging included. */
  static bytes(spec: StageSpec): number {
    return totalBytes(planMemory(spec), planStaging(spec));
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
    if (outputGradient) this.#write("stream", outputGradient);
    const copy = this.#spec.range.embed ? null : { from: "stream", to: `inputGradient${slot}` };
    this.#submit([this.#slots[slot]!.backward], copy);
  }

  /** Output of the slot's last forward or evaluate, [B,T,C]; one read at a time. */
  output(slot: number): Promise<Float32Array<ArrayBuffer>> {
    return mapped(this.#staging.get(`output${slot}`)!, this.#activationSize);
  }

  /** Gradient by the slot's input of its last backward, [B,T,C]; one read at a time. */
  inputGradient(slot: number): Promise<Float32Array<ArrayBuffer>> {
    return mapped(this.#staging.get(`inputGradient${slot}`)!, this.#activationSize);
  }

  /** Sets the gradients and the loss to zero. */
  zero(): void {
    this.#clear("gradient", "losses", ...(this.#buffers.has("borrowed") ? ["borrowedGradient"] : []));
  }

  resetLoss(): void {
    this.#clear("losses");
  }

  /** Sum of -ln p over the rows since the loss was last zero, nats; NaN or infinite when any was. */
  async lossSum(): Promise<number> {
    const losses = await this.#read("losses", 0, this.#rows);
    return losses.reduce((sum, loss) => sum + loss, 0);
  }

  /** Gradient of the owned segment, padding included. */
  gradient(): Promise<Float32Array<ArrayBuffer>> {
    return this.#read("gradient", 0, this.#size);
  }

  setGradient(values: Float32Array, start: number): void {
    this.#write("gradient", values, start - this.segment.start);
  }

  /** Squared L2 norm of the owned segment's gradient; NaN or infinite when any value is. */
  async squaredNorm(): Promise<number> {
    this.#submit([this.#norm!]);
    const partials = await this.#read("partials", 0, this.#operations.windows().length * NORM_PARTS);
    return partials.reduce((sum, partial) => sum + partial, 0);
  }

  /** One AdamW update of what the stage owns. `step` counts from 1; the gradient is multiplied by `scale`. */
  apply({ step, scale, lr }: { step: number; scale: number; lr: number }): void {
    const { beta1, beta2, eps, weightDecay } = this.#spec.optimizer;
    const corrections = [1 / (1 - beta1 ** step), 1 / (1 - beta2 ** step)];
    this.#write("update", Float32Array.of(scale, lr, beta1, beta2, eps, weightDecay, ...corrections));
    this.#submit([this.#optimizer!]);
  }

  /** The owned segment, padding included. */
  read(what: StageState): Promise<Float32Array<ArrayBuffer>> {
    return this.#read(what, 0, this.#size);
  }

  write(what: StageState, values: Float32Array, start: number): void {
    this.#write(what, values, start - this.segment.start);
  }

  /** Values of the tied embedding, [V*C], from the stage that owns it. */
  readEmbedding(): Promise<Float32Array<ArrayBuffer>> {
    const { offset, size } = this.#tensors.get(EMBEDDING)!;
    return this.#read("parameters", offset - this.segment.start, size);
  }

  /** Renews the copy of the tied embedding on a stage that borrows it, [V*C]. */
  writeEmbedding(values: Float32Array): void {
    this.#write("borrowed", values);
  }

  /** Gradient of the borrowed copy, [V*C]. */
  embeddingGradient(): Promise<Float32Array<ArrayBuffer>> {
    return this.#read("borrowedGradient", 0, this.#embeddingSize);
  }

  /** Adds the gradient of a borrowed copy, [V*C], to the owner's. */
  addEmbeddingGradient(values: Float32Array): void {
    this.#write("lent", values);
    this.#submit([this.#addLent!]);
  }

  /** Logits [V] of a row of the last `evaluate`, whichever the slot; where the stage has the head. */
  logits(row: number): Promise<Float32Array<ArrayBuffer>> {
    const { width: C, vocab } = this.#spec.model;
    const encoder = this.#device.createCommandEncoder();
    encoder.copyBufferToBuffer(this.#buffer("normed"), row * C * 4, this.#buffer("probe"), 0, C * 4);
    const pass = encoder.beginComputePass();
    this.#rowLogits!.replay(pass);
    pass.end();
    this.#device.queue.submit([encoder.finish()]);
    return this.#read("probeLogits", 0, vocab);
  }

  /** Time of each kernel in a slot's forward and backward and in the optimizer, run once more for it. */
  async profile(slot: number): Promise<KernelTime[]> {
    const { forward, backward } = this.#slots[slot]!;
    const times: KernelTime[] = [];
    for (const program of [forward, backward, this.#norm!, this.#optimizer!]) {
      times.push(...(await profile(this.#device, program)));
    }
    return times;
  }

  /** Frees the GPU memory once the work already submitted is done. */
  destroy(): void {
    const buffers = [...this.#buffers.values(), ...this.#staging.values()];
    void this.#device.queue.onSubmittedWorkDone().then(() => {
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
    const buffer = this.#buffers.get(name);
    if (!buffer) throw new Error(`this stage has no buffer '${name}'`);
    return buffer;
  }

  #write(name: string, values: Float32Array | Uint32Array, offset = 0): void {
    this.#device.queue.writeBuffer(this.#buffer(name), offset * 4, values as BufferSource & ArrayBufferView);
  }

  #read(name: string, first: number, count: number): Promise<Float32Array<ArrayBuffer>> {
    return this.#readback.read(this.#buffer(name), first, count);
  }

  #clear(...names: string[]): void {
    const encoder = this.#device.createCommandEncoder();
    for (const name of names) encoder.clearBuffer(this.#buffer(name));
    this.#device.queue.submit([encoder.finish()]);
  }

  #runForward(slot: number, program: Program, input?: Float32Array): void {
    const { range } = this.#spec;
    if (input) this.#write(`slot${slot}.block${range.first}.x`, input);
    this.#submit([program], range.head ? null : { from: `slot${slot}.y`, to: `output${slot}` });
  }

  #submit(programs: readonly Program[], copy: { from: string; to: string } | null = null): void {
    const encoder = this.#device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    for (const program of programs) program.replay(pass);
    pass.end();
    if (copy) {
      encoder.copyBufferToBuffer(
        this.#buffer(copy.from),
        0,
        this.#staging.get(copy.to)!,
        0,
        this.#activationSize * 4,
      );
    }
    this.#device.queue.submit([encoder.finish()]);
  }

  async #record(kernels: KernelRegistry): Promise<void> {
    const record = (operations: Operation[]) => Program.record(this.#device, kernels, operations);
    const operations = this.#operations;
    const slots = Array.from({ length: this.#spec.slots }, async (_, slot) => {
      const [forward, evaluate, backward] = await Promise.all([
        record(operations.forward(slot, true)),
        record(operations.forward(slot, false)),
        record(operations.backward(slot)),
      ]);
      return { forward, evaluate, backward };
    });
    [this.#slots, this.#optimizer, this.#norm, this.#addLent, this.#rowLogits] = await Promise.all([
      Promise.all(slots),
      record(operations.optimizer()),
      record(operations.squaredNorm()),
      this.#buffers.has("lent") ? record(operations.addLent()) : null,
      this.#spec.range.head ? record(operations.rowLogits()) : null,
    ]);
  }

  #writeDecayBits(): void {
    const bits = new Uint32Array(this.#buffer("decay").size / 4);
    for (const { decay, offset, size } of this.#tensors.values()) {
      if (!decay) continue;
      const first = Math.floor((offset - this.segment.start) / TENSOR_ALIGNMENT);
      const end = Math.ceil((offset - this.segment.start + size) / TENSOR_ALIGNMENT);
      for (let i = first; i < end; i++) bits[i >> 5]! |= 1 << (i & 31);
    }
    this.#write("decay", bits);
  }
}
