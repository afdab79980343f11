// Reads results back through a staging buffer made once.

export class Readback {
  readonly #device: GPUDevice;
  readonly #staging: GPUBuffer;
  /** Reads take turns: a staging buffer holds one at a time. Null when it is free. */
  #turn: Promise<unknown> | null = null;

  constructor(device: GPUDevice, staging: GPUBuffer) {
    this.#device = device;
    this.#staging = staging;
  }

  /**
   * `count` f32 values of `source` from element `first` on: as of the work submitted before this call, or, when
   * another read is still under way, before that one's end.
   */
  read(source: GPUBuffer, first: number, count: number): Promise<Float32Array<ArrayBuffer>> {
    const copy = () => {
      const encoder = this.#device.createCommandEncoder();
      encoder.copyBufferToBuffer(source, first * 4, this.#staging, 0, count * 4);
      this.#device.queue.submit([encoder.finish()]);
      return mapped(this.#staging, count);
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
export async function mapped(staging: GPUBuffer, count: number): Promise<Float32Array<ArrayBuffer>> {
  await staging.mapAsync(GPUMapMode.READ, 0, count * 4);
  const values = new Float32Array(staging.getMappedRange(0, count * 4).slice(0));
  staging.unmap();
  return values;
}
