// Kernels: WGSL source to compiled pipelines, each made once a device.
import adamw from "../../shaders/adamw.wgsl?raw";
import attention from "../../shaders/attention.wgsl?raw";
import blockIntegers from "../../shaders/block-integers.wgsl?raw";
import crossEntropy from "../../shaders/cross-entropy.wgsl?raw";
import elementwise from "../../shaders/elementwise.wgsl?raw";
import embedding from "../../shaders/embedding.wgsl?raw";
import matmulRegisters from "../../shaders/matmul-registers.wgsl?raw";
import matmulSubgroupMatrix from "../../shaders/matmul-subgroup-matrix.wgsl?raw";
import matmulTiled from "../../shaders/matmul-tiled.wgsl?raw";
import norm from "../../shaders/norm.wgsl?raw";
import alone from "../../shaders/parts/alone.wgsl?raw";
import block from "../../shaders/parts/block.wgsl?raw";
import byQuads from "../../shaders/parts/by-quads.wgsl?raw";
import finishResidual from "../../shaders/parts/finish-residual.wgsl?raw";
import finishStore from "../../shaders/parts/finish-store.wgsl?raw";
import finishSwigluBackward from "../../shaders/parts/finish-swiglu-backward.wgsl?raw";
import finishSwiglu from "../../shaders/parts/finish-swiglu.wgsl?raw";
import halves from "../../shaders/parts/halves.wgsl?raw";
import product from "../../shaders/parts/product.wgsl?raw";
import quad from "../../shaders/parts/quad.wgsl?raw";
import rowAlone from "../../shaders/parts/row-alone.wgsl?raw";
import rowWorkgroup from "../../shaders/parts/row-workgroup.wgsl?raw";
import row from "../../shaders/parts/row.wgsl?raw";
import rope from "../../shaders/rope.wgsl?raw";
import toHalves from "../../shaders/to-halves.wgsl?raw";
import signs from "../../shaders/signs.wgsl?raw";
import topK from "../../shaders/top-k.wgsl?raw";
import { hashText } from "../../core/random.ts";
import { inHalves, preprocess } from "./preprocess.ts";
import { track } from "./submissions.ts";

const SOURCES = {
  adamw,
  attention,
  "block-integers": blockIntegers,
  "cross-entropy": crossEntropy,
  elementwise,
  embedding,
  "matmul-registers": matmulRegisters,
  "matmul-subgroup-matrix": matmulSubgroupMatrix,
  "matmul-tiled": matmulTiled,
  norm,
  rope,
  "to-halves": toHalves,
  signs,
  "top-k": topK,
};
export type ShaderFile = keyof typeof SOURCES;

const PARTS = {
  alone,
  block,
  "by-quads": byQuads,
  "finish-residual": finishResidual,
  "finish-store": finishStore,
  "finish-swiglu": finishSwiglu,
  "finish-swiglu-backward": finishSwigluBackward,
  halves,
  product,
  quad,
  row,
  "row-alone": rowAlone,
  "row-workgroup": rowWorkgroup,
};
export type PartFile = keyof typeof PARTS;

/** Changes with any kernel: what was measured of them before is void then. */
export function kernelHash(): string {
  return hashText(JSON.stringify([SOURCES, PARTS])).toString(16);
}

/** A kernel: an entry point of a file in shaders/, with its constants set. */
export interface Kernel {
  readonly file: ShaderFile;
  readonly entry: string;
  /** Values of `override` constants. */
  readonly overrides: Readonly<Record<string, number | boolean>>;
  /** Values of `const NAME = ...;` lines: where WGSL takes no override, as in the size of a private array. */
  readonly consts?: Readonly<Record<string, number>>;
  /** Files in shaders/parts that supply functions which the kernel's own file leaves open. */
  readonly parts?: readonly PartFile[];
  /** Names of its aliases whose arrays hold f16. */
  readonly halves?: readonly string[];
}

/** A shader that does not compile: a bug, said with line, column and source. */
export class ShaderError extends Error {
  override name = "ShaderError";
}

export class KernelRegistry {
  static readonly #registries = new WeakMap<GPUDevice, KernelRegistry>();
  readonly #device: GPUDevice;
  readonly #modules = new Map<string, GPUShaderModule>();
  readonly #pipelines = new Map<string, Promise<GPUComputePipeline>>();
  readonly #uniforms = new Map<string, GPUBuffer>();

  private constructor(device: GPUDevice) {
    this.#device = device;
  }

  /** The device's one registry: a worker's next stage finds what the one before it compiled. */
  static of(device: GPUDevice): KernelRegistry {
    let registry = this.#registries.get(device);
    if (!registry) {
      registry = new KernelRegistry(device);
      this.#registries.set(device, registry);
    }
    return registry;
  }

  /** The compiled pipeline; asking for many before waiting compiles them in parallel. @throws ShaderError */
  pipeline(kernel: Kernel): Promise<GPUComputePipeline> {
    const key = JSON.stringify(kernel);
    let pipeline = this.#pipelines.get(key);
    if (!pipeline) {
      pipeline = this.#compile(kernel);
      this.#pipelines.set(key, pipeline);
    }
    return pipeline;
  }

  /** A buffer of these u32 values, made once: shapes are few and live as long as the device. */
  uniform(values: readonly number[]): GPUBuffer {
    const key = values.join();
    let buffer = this.#uniforms.get(key);
    if (!buffer) {
      const contents = Uint32Array.from(values);
      const usage = GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST;
      buffer = this.#device.createBuffer({ label: "shape", size: contents.byteLength, usage });
      this.#device.queue.writeBuffer(buffer, 0, contents);
      this.#uniforms.set(key, buffer);
    }
    return buffer;
  }

  async #compile({ file, entry, overrides, ...rest }: Kernel): Promise<GPUComputePipeline> {
    const source = sourceOf({ file, ...rest });
    let module = this.#modules.get(source);
    if (!module) {
      module = this.#device.createShaderModule({ label: file, code: source });
      this.#modules.set(source, module);
    }
    const constants = Object.fromEntries(
      Object.entries(overrides).map(([name, value]) => [name, Number(value)]),
    );
    try {
      const pipeline = this.#device.createComputePipelineAsync({
        label: `${file}.${entry}`,
        layout: "auto",
        compute: { module, entryPoint: entry, constants },
      });
      return await track(this.#device.queue, pipeline);
    } catch (error) {
      const { messages } = await module.getCompilationInfo();
      throw new ShaderError(describeFailure(file, source, messages, error));
    }
  }
}

/** The WGSL that is compiled: the file, then its parts, with what they enable on its first line. */
export function sourceOf({
  file,
  consts = {},
  parts = [],
  halves = [],
}: Omit<Kernel, "entry" | "overrides">): string {
  const own = preprocess(SOURCES[file], consts);
  const source = [halves.length > 0 ? inHalves(own, halves) : own, ...parts.map((part) => PARTS[part])].join(
    "\n",
  );
  const enables = source.match(/^enable \w+;$/gm) ?? [];
  return enables.join(" ") + source.replace(/^enable \w+;$/gm, "");
}

function describeFailure(
  file: string,
  source: string,
  messages: readonly GPUCompilationMessage[],
  error: unknown,
) {
  const lines = source.split("\n");
  const errors = messages
    .filter(({ type }) => type === "error")
    .map(
      ({ lineNum, linePos, message }) =>
        `shaders/${file}.wgsl:${lineNum}:${linePos}: ${message}\n    ${lines[lineNum - 1]}`,
    );
  return errors.length > 0 ? errors.join("\n") : `shaders/${file}.wgsl: ${String(error)}`;
}
