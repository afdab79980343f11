// Trying out what may not work on this GPU, and whether it computes what it should. For the search (search.ts): a
// kernel that a stage runs is known to work.
import type { Gpu } from "../device.ts";
import { KernelRegistry, ShaderError } from "../kernels.ts";
import { Program, type Binding, type Operation } from "../program.ts";
import { mapped } from "../readback.ts";
import { submit } from "../submissions.ts";

const ERRORS: readonly GPUErrorFilter[] = ["validation", "out-of-memory", "internal"];

/**
 * What `work` returns, or null when a kernel does not compile or WebGPU reports an error.
 * @throws when the device is lost: what it was doing then says nothing about what comes after
 */
export async function attempt<T>({ device, lost }: Gpu, work: () => Promise<T>): Promise<T | null> {
  for (const filter of ERRORS) device.pushErrorScope(filter);
  let result: T | null = null;
  let errors: (GPUError | null)[] = [];
  try {
    result = await work();
  } catch (error) {
    if (!(error instanceof ShaderError)) throw error;
  } finally {
    errors = await Promise.all(ERRORS.map(() => device.popErrorScope()));
  }
  const reason = await Promise.race([lost, null]);
  if (reason !== null) throw new Error(`the GPU device was lost: ${reason}`);
  return errors.some((error) => error !== null) ? null : result;
}

type Arrays = Readonly<Record<string, Float64Array>>;
/** Integers are the bits of values in f16. */
type GivenArrays = Readonly<Record<string, Float64Array | Uint16Array<ArrayBuffer>>>;
export type Buffers = Readonly<Record<string, Binding>>;

/** What variants are checked by. Arrays go by names; one that is not given starts as NaN. */
export interface Problem<Variant> {
  readonly given: GivenArrays;
  readonly expected: Arrays;
  operations(variant: Variant, buffers: Buffers): Operation[];
}

/** Of the largest value expected. Rounding in f32 stays far below it, what a wrong kernel computes far above. */
const TOLERANCE = 1e-4;

export async function solves<Variant>(
  device: GPUDevice,
  { given, expected, operations }: Problem<Variant>,
  variant: Variant,
): Promise<boolean> {
  const made: GPUBuffer[] = [];
  const createBuffer = (size: number, usage: number) => {
    const buffer = device.createBuffer({ size, usage });
    made.push(buffer);
    return buffer;
  };
  const { STORAGE, COPY_SRC, COPY_DST, MAP_READ } = GPUBufferUsage;
  const upload = (values: Float64Array | Uint16Array<ArrayBuffer>): Binding => {
    const halves = values instanceof Uint16Array;
    const contents = halves ? values : Float32Array.from(values);
    const buffer = createBuffer(contents.byteLength, STORAGE | COPY_SRC | COPY_DST);
    device.queue.writeBuffer(buffer, 0, contents);
    return { buffer, halves };
  };
  try {
    const unset = Object.entries(expected).map(([name, values]) => [name, values.map(() => NaN)] as const);
    const contents = Object.entries({ ...Object.fromEntries(unset), ...given });
    const buffers = Object.fromEntries(contents.map(([name, values]) => [name, upload(values)]));
    const program = await Program.record(device, KernelRegistry.of(device), operations(variant, buffers));
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    program.replay(pass);
    pass.end();
    const results = Object.entries(expected).map(([name, values]) => {
      const staging = createBuffer(values.length * 4, MAP_READ | COPY_DST);
      encoder.copyBufferToBuffer(buffers[name].buffer, 0, staging, 0, staging.size);
      return { staging, values };
    });
    void submit(device.queue, [encoder.finish()]);
    const close = await Promise.all(
      results.map(async ({ staging, values }) =>
        isClose(await mapped(device.queue, staging, values.length), values),
      ),
    );
    return close.every(Boolean);
  } finally {
    for (const buffer of made) buffer.destroy();
  }
}

function isClose(actual: Float32Array, expected: Float64Array): boolean {
  const allowed = TOLERANCE * expected.reduce((largest, value) => Math.max(largest, Math.abs(value)), 0);
  return expected.every((value, i) => Math.abs(actual[i] - value) <= allowed);
}
