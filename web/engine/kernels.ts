// Kernels: WGSL source to compiled pipelines, each made once a device.
import adamw from "../../shaders/adamw.wgsl?raw";
import attention from "../../shaders/attention.wgsl?raw";
import crossEntropy from "../../shaders/cross-entropy.wgsl?raw";
import elementwise from "../../shaders/elementwise.wgsl?raw";
import embedding from "../../shaders/embedding.wgsl?raw";
import matmulAny from "../../shaders/matmul-any.wgsl?raw";
import matmul from "../../shaders/matmul.wgsl?raw";
import norm from "../../shaders/norm.wgsl?raw";
import rope from "../../shaders/rope.wgsl?raw";
import swiglu from "../../shaders/swiglu.wgsl?raw";
import { preprocess } from "./preprocess.ts";

const SOURCES = {
  adamw,
  attention,
  "cross-entropy": crossEntropy,
  elementwise,
  embedding,
  "matmul-any": matmulAny,
  matmul,
  norm,
  rope,
  swiglu,
};
export type ShaderFile = keyof typeof SOURCES;

/** A kernel: an entry point of a file in shaders/, with its constants set. */
export interface Kernel {
  readonly file: ShaderFile;
  readonly entry: string;
  /** Values of `override` constants. */
  readonly overrides: Readonly<Record<string, number | boolean>>;
  /** Values of `const NAME = ...;` lines: where WGSL takes no override, as in the size of a private array. */
  readonly consts?: Readonly<Record<string, number>>;
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

  async #compile({ file, entry, overrides, consts = {} }: Kernel): Promise<GPUComputePipeline> {
    const source = preprocess(SOURCES[file], consts);
    let module = this.#modules.get(source);
    if (!module) {
      module = this.#device.createShaderModule({ label: file, code: source });
      this.#modules.set(source, module);
    }
    const constants = Object.fromEntries(
      Object.entries(overrides).map(([name, value]) => [name, Number(value)]),
    );
    try {
      return await this.#device.createComputePipelineAsync({
        label: `${file}.${entry}`,
        layout: "auto",
        compute: { module, entryPoint: entry, constants },
      });
    } catch (error) {
      const { messages } = await module.getCompilationInfo();
      throw new ShaderError(describeFailure(file, source, messages, error));
    }
  }
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
