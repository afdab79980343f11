// Allocates the buffers of a stage, and says which of the GPU's limits is in the way where it cannot.
// Not here: which there are and how large (core/plan/memory.ts).
import type { Tensor } from "../../core/model/parameters.ts";
import type { MemoryPlan } from "../../core/plan/memory.ts";
import { DoesNotFit } from "./device.ts";

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
    // Parameters are bound a tensor at a time (checkTensors) and the optimizer works in windows; the rest is bound
    // whole.
    const boundWhole = usage & GPUBufferUsage.STORAGE && !["parameters", "gradient", "m", "v"].includes(name);
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
