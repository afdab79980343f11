// Allocates the buffers of a stage, and says which of the GPU's limits is in the way where it cannot.
// Not here: which there are and how large (core/plan/memory.ts).
import type { Tensor } from "../../core/model/parameters.ts";
import type { MemoryPlan, StageSpec } from "../../core/plan/memory.ts";
import { DoesNotFit } from "./device.ts";

/** The stage as this GPU does it: without f16 in shaders, kernels read all in f32. */
export function stageOn(device: GPUDevice, spec: StageSpec): StageSpec {
  return device.features.has("shader-f16") ? spec : { ...spec, precision: "f32" };
}

/** Bound a tensor at a time (checkTensors), and in windows by the optimizer; all else is bound whole. */
const BOUND_IN_PARTS = ["parameters", "halves", "gradient", "m", "v"];

/** @throws DoesNotFit when a tensor is too large for kernels to read at once */
export function checkTensors(device: GPUDevice, tensors: Iterable<Tensor>): void {
  const limit = device.limits.maxStorageBufferBindingSize;
  for (const { name, size } of tensors) {
    if (size * 4 > limit) {
      throw DoesNotFit.overLimit(`the tensor '${name}'`, size * 4, "maxStorageBufferBindingSize", limit);
    }
  }
}

/**
 * Allocates the plan's buffers, each zero.
 * @throws DoesNotFit when one is over the device's limits
 */
export function allocate(device: GPUDevice, plan: MemoryPlan, usage: number): Map<string, GPUBuffer> {
  const { maxBufferSize, maxStorageBufferBindingSize } = device.limits;
  for (const [name, bytes] of plan) {
    if (bytes > maxBufferSize)
      throw DoesNotFit.overLimit(`the buffer '${name}'`, bytes, "maxBufferSize", maxBufferSize);
    const boundWhole = usage & GPUBufferUsage.STORAGE && !BOUND_IN_PARTS.includes(name);
    if (boundWhole && bytes > maxStorageBufferBindingSize) {
      throw DoesNotFit.overLimit(
        `the buffer '${name}'`,
        bytes,
        "maxStorageBufferBindingSize",
        maxStorageBufferBindingSize,
      );
    }
  }
  return new Map(Array.from(plan, ([label, size]) => [label, device.createBuffer({ label, size, usage })]));
}
