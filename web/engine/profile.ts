// How long each dispatch of a program takes on the GPU: by timestamps where the device has them, else by waiting
// for each alone. For measuring; a training step never comes here.
import type { Program } from "./program.ts";
import { mapped } from "./readback.ts";
import { workDone } from "./waiting.ts";

export interface KernelTime {
  readonly name: string;
  readonly ms: number;
}

/** Runs the program's dispatches once or more; what they compute is of no use after. */
export async function profile(device: GPUDevice, program: Program): Promise<KernelTime[]> {
  const times = device.features.has("timestamp-query")
    ? await byTimestamps(device, program)
    : await byWaiting(device, program);
  return program.names.map((name, i) => ({ name, ms: times[i]! }));
}

async function byTimestamps(device: GPUDevice, program: Program): Promise<number[]> {
  const count = program.names.length;
  const querySet = device.createQuerySet({ type: "timestamp", count: 2 * count });
  const size = 16 * count;
  const resolved = device.createBuffer({
    size,
    usage: GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC,
  });
  const staging = device.createBuffer({ size, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
  const encoder = device.createCommandEncoder();
  for (let i = 0; i < count; i++) {
    const timestampWrites = { querySet, beginningOfPassWriteIndex: 2 * i, endOfPassWriteIndex: 2 * i + 1 };
    const pass = encoder.beginComputePass({ timestampWrites });
    program.replayOne(i, pass);
    pass.end();
  }
  encoder.resolveQuerySet(querySet, 0, 2 * count, resolved, 0);
  encoder.copyBufferToBuffer(resolved, 0, staging, 0, size);
  device.queue.submit([encoder.finish()]);
  const nanoseconds = new BigInt64Array((await mapped(device.queue, staging, size / 4)).buffer);
  for (const object of [querySet, resolved, staging]) object.destroy();
  return Array.from({ length: count }, (_, i) => Number(nanoseconds[2 * i + 1]! - nanoseconds[2 * i]!) / 1e6);
}

/** Dispatches in a row that are timed as one, so that waiting, which browsers do by the clock, counts for little. */
const REPEATS = 16;

async function byWaiting(device: GPUDevice, program: Program): Promise<number[]> {
  const times: number[] = [];
  for (let i = 0; i < program.names.length; i++) {
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    for (let repeat = 0; repeat < REPEATS; repeat++) program.replayOne(i, pass);
    pass.end();
    const start = performance.now();
    device.queue.submit([encoder.finish()]);
    await workDone(device.queue);
    times.push((performance.now() - start) / REPEATS);
  }
  return times;
}
