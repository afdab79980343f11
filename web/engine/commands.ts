// What a stage tells its GPU, gathered into few submissions: writes, programs, copies and clears, in order.
// A submission on its way costs time, and one that runs too long makes a system take the GPU for hung, so they are
// cut by what the work was measured to take.
import { UPLOAD_BYTES } from "../../core/plan/memory.ts";
import type { Program } from "./program.ts";
import { submit } from "./submissions.ts";
import { waitFor } from "./waiting.ts";

/** Longest that one submission should run, ms: a tenth of what makes Windows reset a device. */
const LONGEST_MS = 100;
/** Dispatches of one submission, until it is known how long they take: a software adapter may take a minute for them. */
const UNKNOWN = 8;

export class Commands {
  readonly #device: GPUDevice;
  /** Small writes wait here for their turn, so that they need no submission of their own. */
  readonly #upload: GPUBuffer;
  #uploaded = 0;
  #encoder: GPUCommandEncoder | null = null;
  #pass: GPUComputePassEncoder | null = null;
  /** Dispatches not yet submitted, and what one of them took at most; unknown until one was measured. */
  #dispatches = 0;
  #msPerDispatch: number | null = null;
  #measuring = false;

  /** `upload`: UPLOAD_BYTES to copy from and to. */
  constructor(device: GPUDevice, upload: GPUBuffer) {
    this.#device = device;
    this.#upload = upload;
  }

  get queue(): GPUQueue {
    return this.#device.queue;
  }

  /** `offset` in bytes. */
  write(target: GPUBuffer, offset: number, values: Float32Array | Uint32Array): void {
    const data = values as (Float32Array | Uint32Array) & { buffer: ArrayBuffer };
    if (!this.#encoder) {
      this.#device.queue.writeBuffer(target, offset, data);
      return;
    }
    if (this.#uploaded + data.byteLength > UPLOAD_BYTES) {
      this.flush();
      this.#device.queue.writeBuffer(target, offset, data);
      return;
    }
    // The queue writes at once; the copy waits with what was told before it.
    this.#device.queue.writeBuffer(this.#upload, this.#uploaded, data);
    this.copy(this.#upload, this.#uploaded, target, offset, data.byteLength);
    this.#uploaded += data.byteLength;
  }

  run(program: Program): void {
    for (let i = 0; i < program.length; i++) {
      this.#pass ??= this.#begin().beginComputePass();
      program.replayOne(i, this.#pass);
      this.#dispatches++;
      if (this.#isEnough) this.flush();
    }
    if (this.#msPerDispatch === null) this.flush();
  }

  get #isEnough(): boolean {
    if (this.#msPerDispatch === null) return this.#dispatches === UNKNOWN;
    return this.#dispatches * this.#msPerDispatch > LONGEST_MS;
  }

  /** Offsets and size in bytes. */
  copy(from: GPUBuffer, fromOffset: number, to: GPUBuffer, toOffset: number, size: number): void {
    this.#outsidePass().copyBufferToBuffer(from, fromOffset, to, toOffset, size);
  }

  clear(buffer: GPUBuffer): void {
    this.#outsidePass().clearBuffer(buffer);
  }

  /** Submits what was told so far. */
  flush(): void {
    if (!this.#encoder) return;
    this.#pass?.end();
    const done = submit(this.queue, [this.#encoder.finish()]);
    this.#measure(this.#dispatches, done);
    this.#encoder = null;
    this.#pass = null;
    this.#dispatches = 0;
    this.#uploaded = 0;
  }

  #begin(): GPUCommandEncoder {
    return (this.#encoder ??= this.#device.createCommandEncoder());
  }

  #outsidePass(): GPUCommandEncoder {
    this.#pass?.end();
    this.#pass = null;
    return this.#begin();
  }

  /** Times a submission to its end. Several under way would count each other's time: then only the first is timed. */
  #measure(dispatches: number, done: Promise<undefined>): void {
    if (this.#measuring || dispatches === 0) return;
    this.#measuring = true;
    const start = performance.now();
    void waitFor(this.queue, done).then(() => {
      this.#measuring = false;
      const ms = (performance.now() - start) / dispatches;
      this.#msPerDispatch = Math.max(ms, (this.#msPerDispatch ?? 0) * 0.9);
    });
  }
}
