// Reads results back through a staging buffer made once.

export class Readback {
  readonly #device: GPUDevice;
  readonly #staging: GPUBuffer;
  /** Reads take turns: a staging buffer holds one at a time. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(device: GPUDevice, staging: GPUBuffer) {
    this.#device = device;
    this.#staging = staging;
  }

  /** `count` f32 values of `source` from element `first` on, as of the work submitted before this call's turn. */
  read(source: GPUBuffer, first: number, count: number): Promise<Float32Array<ArrayBuffer>> {
    const result = this.#turn.then(() => {
      const encoder = this.#device.createCommandEncoder();
      encoder.copyBufferToBuffer(source, first * 4, this.#staging, 0, count * 4);
      this.#device.queue.submit([encoder.finish()]);
      return mapped(this.#staging, count);
    });
    this.#turn = result.catch(() => {});
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
