// Runs operations on arrays: uploads them, replays a recorded program, reads everything back.
import { expect } from "vitest";
import { KernelRegistry } from "../../web/engine/kernels.ts";
import { Program, type Binding, type Operation } from "../../web/engine/program.ts";
import { mapped } from "../../web/engine/readback.ts";
import { gpu } from "./device.ts";

/** Numbers for f32 buffers, or integers for u32 buffers. */
export type Arrays<Name extends string> = Readonly<Record<Name, Float64Array | Uint32Array>>;

const kernels = KernelRegistry.of(gpu.device);

/** Elements behind each array that no operation may touch. */
const GUARD = 64;
const GUARD_VALUE = 12345;

/** A buffer for an operation to fill: NaN, so that every value left out shows. */
export const unset = (length: number): Float64Array => new Float64Array(length).fill(NaN);

/**
 * All buffers, as f32, after the operations ran on `arrays`. Checks on the way that nothing is written outside the
 * arrays, and that a second run, from the start, gives the same bits.
 */
export async function runOperations<Name extends string>(
  arrays: Arrays<Name>,
  operations: (buffers: Record<Name, Binding>) => Operation[],
): Promise<Record<Name, Float32Array>> {
  const first = await runOnce(arrays, operations);
  const second = await runOnce(arrays, operations);
  for (const name of namesOf(arrays)) {
    const again = bitsOf(second[name]);
    const differs = bitsOf(first[name]).findIndex((bits, i) => bits !== again[i]);
    expect(differs, `first value of ${name} that differs in a second run`).toBe(-1);
  }
  return first;
}

async function runOnce<Name extends string>(
  arrays: Arrays<Name>,
  operations: (buffers: Record<Name, Binding>) => Operation[],
): Promise<Record<Name, Float32Array>> {
  const names = namesOf(arrays);
  const buffers = mapNames(names, (name) => ({ buffer: upload(arrays[name]) }));
  const program = await Program.record(gpu.device, kernels, operations(buffers));
  const encoder = gpu.device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  program.replay(pass);
  pass.end();
  const staging = mapNames(names, (name) => {
    const { size } = buffers[name].buffer;
    const copy = gpu.device.createBuffer({ size, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
    encoder.copyBufferToBuffer(buffers[name].buffer, 0, copy, 0, size);
    return copy;
  });
  gpu.device.queue.submit([encoder.finish()]);
  const results = await Promise.all(
    names.map(async (name) => {
      const { length } = arrays[name];
      const values = await mapped(gpu.device.queue, staging[name], length + GUARD);
      expect(
        values.subarray(length).every((value) => value === GUARD_VALUE),
        `behind ${name}`,
      ).toBe(true);
      return values.subarray(0, length);
    }),
  );
  for (const name of names) {
    buffers[name].buffer.destroy();
    staging[name].destroy();
  }
  return mapNames(names, (name) => results[names.indexOf(name)]);
}

function upload(values: Float64Array | Uint32Array): GPUBuffer {
  const { length } = values;
  const contents = new Float32Array(length + GUARD).fill(GUARD_VALUE);
  if (values instanceof Uint32Array) new Uint32Array(contents.buffer).set(values);
  else contents.set(values);
  const usage =
    GPUBufferUsage.STORAGE | GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
  const buffer = gpu.device.createBuffer({ size: contents.byteLength, usage });
  gpu.device.queue.writeBuffer(buffer, 0, contents);
  return buffer;
}

const bitsOf = (values: Float32Array): Uint32Array => new Uint32Array(values.slice().buffer);

const namesOf = <Name extends string>(arrays: Arrays<Name>): Name[] => Object.keys(arrays) as Name[];

function mapNames<Name extends string, T>(names: Name[], of: (name: Name) => T): Record<Name, T> {
  return Object.fromEntries(names.map((name) => [name, of(name)])) as Record<Name, T>;
}
