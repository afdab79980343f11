// How long work takes on the GPU: by timestamps where the device has them, else by waiting for it. For measuring; a
// training step never comes here.
import type { Program } from "./program.ts";
import { mapped } from "./readback.ts";
import { submit } from "./submissions.ts";
import { waitFor } from "./waiting.ts";

export interface KernelTime {
  readonly name: string;
  readonly ms: number;
}

/** Dispatches in a row that are timed as one, so that waiting, which browsers do by the clock, counts for little. */
const REPEATS = 16;
/** Beside a dispatch of this many milliseconds waiting counts for little anyway. */
const LONG_MS = 50;

/** Runs the program's dispatches once or more; what they compute is of no use after. */
export async function profile(device: GPUDevice, program: Program): Promise<KernelTime[]> {
  const { names } = program;
  const repeated = (index: number, repeats: number) => (pass: GPUComputePassEncoder) => {
    for (let repeat = 0; repeat < repeats; repeat++) program.replayOne(index, pass);
  };
  const times = await timePasses(
    device,
    names.map((_, i) => repeated(i, 1)),
  );
  if (!hasTimestamps(device)) {
    const short = [...times.keys()].filter((i) => times[i]! < LONG_MS);
    const again = await timePasses(
      device,
      short.map((i) => repeated(i, REPEATS)),
    );
    for (const [n, i] of short.entries()) times[i] = again[n]! / REPEATS;
  }
  return names.map((name, i) => ({ name, ms: times[i]! }));
}

/** Else a time includes waiting for the work, and hearing that it is done. */
export const hasTimestamps = (device: GPUDevice): boolean => device.features.has("timestamp-query");

type EncodePass = (pass: GPUComputePassEncoder) => void;

/** Runs the passes in order; milliseconds of each. */
export function timePasses(device: GPUDevice, passes: readonly EncodePass[]): Promise<number[]> {
  return hasTimestamps(device) ? byTimestamps(device, passes) : byWaiting(device, passes);
}

async function byTimestamps(device: GPUDevice, passes: readonly EncodePass[]): Promise<number[]> {
  const count = passes.length;
  const querySet = device.createQuerySet({ type: "timestamp", count: 2 * count });
  const size = 16 * count;
  const resolved = device.createBuffer({
    size,
    usage: GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC,
  });
  const staging = device.createBuffer({ size, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
  const encoder = device.createCommandEncoder();
  for (const [i, encode] of passes.entries()) {
    const timestampWrites = { querySet, beginningOfPassWriteIndex: 2 * i, endOfPassWriteIndex: 2 * i + 1 };
    const pass = encoder.beginComputePass({ timestampWrites });
    encode(pass);
    pass.end();
  }
  encoder.resolveQuerySet(querySet, 0, 2 * count, resolved, 0);
  encoder.copyBufferToBuffer(resolved, 0, staging, 0, size);
  void submit(device.queue, [encoder.finish()]);
  const nanoseconds = new BigInt64Array((await mapped(device.queue, staging, size / 4)).buffer);
  for (const object of [querySet, resolved, staging]) object.destroy();
  return Array.from({ length: count }, (_, i) => Number(nanoseconds[2 * i + 1]! - nanoseconds[2 * i]!) / 1e6);
}

async function byWaiting(device: GPUDevice, passes: readonly EncodePass[]): Promise<number[]> {
  const times: number[] = [];
  for (const encode of passes) {
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    encode(pass);
    pass.end();
    const start = performance.now();
    await waitFor(device.queue, submit(device.queue, [encoder.finish()]));
    times.push(performance.now() - start);
  }
  return times;
}
