// Reads results back through a staging buffer made once.
import type { Commands } from "./commands.ts";
import { waitFor } from "./waiting.ts";

/** `count` f32 values of a buffer, from element `first` on. */
export interface Range {
  readonly buffer: GPUBuffer;
  readonly first: number;
  readonly count: number;
}

export class Readback {
  readonly #commands: Commands;
  readonly #staging: GPUBuffer;
  /** Reads take turns: a staging buffer holds one at a time. Null when it is free. */
  #turn: Promise<unknown> | null = null;

  constructor(commands: Commands, staging: GPUBuffer) {
    this.#commands = commands;
    this.#staging = staging;
  }

  /**
   * The values of all ranges behind each other: as of the work told before this call, or, when another read is
   * still under way, before that one's end.
   */
  read(...ranges: readonly Range[]): Promise<Float32Array<ArrayBuffer>> {
    const copy = () => {
      let total = 0;
      for (const { buffer, first, count } of ranges) {
        this.#commands.copy(buffer, first * 4, this.#staging, total * 4, count * 4);
        total += count;
      }
      this.#commands.flush();
      return mapped(this.#commands.queue, this.#staging, total);
    };
    const result = this.#turn ? this.#turn.then(copy) : copy();
    const turn = result
      .catch(() => {})
      .then(() => {
        if (this.#turn === turn) this.#turn = null;
      });
    this.#turn = turn;
    return result;
  }
}

/** A copy of the first `count` f32 values of a staging buffer, once the GPU has written them. */
export async function mapped(
  queue: GPUQueue,
  staging: GPUBuffer,
  count: number,
): Promise<Float32Array<ArrayBuffer>> {
  await waitFor(queue, staging.mapAsync(GPUMapMode.READ, 0, count * 4));
  const values = new Float32Array(staging.getMappedRange(0, count * 4).slice(0));
  staging.unmap();
  return values;
}
