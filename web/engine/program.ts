// A program: dispatches recorded once with their pipelines and bind groups, replayed into an encoder each time.
import type { Kernel, KernelRegistry } from "./kernels.ts";

export interface Binding {
  readonly buffer: GPUBuffer;
  readonly offset?: number;
  readonly size?: number;
  /** Its values are f16: for kernels that can read them so. */
  readonly halves?: boolean;
}

/** Of a known extent, in bytes. */
export interface Stretch extends Binding {
  readonly offset: number;
  readonly size: number;
}

/** One dispatch as it is written down: its kernel, what is bound where, and how many workgroups. */
export interface Operation {
  /** What it does, where its kernel's name does not say enough. */
  readonly name?: string;
  readonly kernel: Kernel;
  /** By binding number. */
  readonly bindings: Readonly<Record<number, Binding>>;
  /** u32 values that the kernel finds in a uniform buffer. */
  readonly uniform?: { readonly binding: number; readonly values: readonly number[] };
  readonly workgroups: readonly [x: number, y?: number, z?: number];
}

interface Dispatch {
  /** What it does: for a profile. */
  readonly name: string;
  readonly pipeline: GPUComputePipeline;
  readonly bindGroup: GPUBindGroup;
  readonly workgroups: readonly [x: number, y?: number, z?: number];
}

export class Program {
  readonly #dispatches: readonly Dispatch[];

  private constructor(dispatches: readonly Dispatch[]) {
    this.#dispatches = dispatches;
  }

  static async record(
    device: GPUDevice,
    kernels: KernelRegistry,
    operations: readonly Operation[],
  ): Promise<Program> {
    const dispatches = operations.map(async ({ name, kernel, bindings, uniform, workgroups }) => {
      const pipeline = await kernels.pipeline(kernel);
      const entries = Object.entries(bindings).map(([binding, resource]) => ({
        binding: Number(binding),
        resource,
      }));
      if (uniform) {
        entries.push({ binding: uniform.binding, resource: { buffer: kernels.uniform(uniform.values) } });
      }
      const bindGroup = device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries });
      return { name: name ?? `${kernel.file}.${kernel.entry}`, pipeline, bindGroup, workgroups };
    });
    return new Program(await Promise.all(dispatches));
  }

  /** Dispatches. */
  get length(): number {
    return this.#dispatches.length;
  }

  /** What each dispatch does, in order. */
  get names(): string[] {
    return this.#dispatches.map(({ name }) => name);
  }

  /** Encodes the dispatches in order. */
  replay(pass: GPUComputePassEncoder): void {
    for (let i = 0; i < this.length; i++) this.replayOne(i, pass);
  }

  replayOne(index: number, pass: GPUComputePassEncoder): void {
    const { pipeline, bindGroup, workgroups } = this.#dispatches[index]!;
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, bindGroup);
    pass.dispatchWorkgroups(...workgroups);
  }
}
