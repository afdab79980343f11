// The GPU of this machine: adapter, device and limits, and the errors that say why there is none.
// Works in pages, dedicated workers and Node (with a GPU object passed in).
import { SUBGROUP_MATRIX } from "./subgroup-matrix.ts";

/** The browser has no WebGPU at all. */
export class NoWebGpu extends Error {
  override name = "This browser has no WebGPU";
}

/** WebGPU is there, but offers no adapter. */
export class NoAdapter extends Error {
  override name = "No usable GPU was found";
}

/** A model needs more than this GPU allows. Another GPU, or a smaller share of the model, would do. */
export class DoesNotFit extends Error {
  override name = "DoesNotFit";

  constructor(why: string) {
    super(`${why}: use more stages or a smaller model`);
  }

  static overLimit(what: string, needed: number, limit: string, available: number): DoesNotFit {
    return new DoesNotFit(`${what} needs ${limit} of ${needed}, this GPU's limit is ${available}`);
  }
}

export interface Gpu {
  readonly device: GPUDevice;
  readonly info: GPUAdapterInfo;
  /** Resolves with the reason when the device is lost; never when it is destroyed on purpose. */
  readonly lost: Promise<string>;
}

/** Limits that are raised to what the adapter has; the others stay at WebGPU's defaults. */
const RAISED_LIMITS = [
  "maxBufferSize",
  "maxStorageBufferBindingSize",
  "maxStorageBuffersPerShaderStage",
  "maxComputeWorkgroupsPerDimension",
  "maxComputeWorkgroupStorageSize",
] as const;

/** Features that kernels have variants for, or that measuring uses. */
const USED_FEATURES = ["shader-f16", "subgroups", SUBGROUP_MATRIX, "timestamp-query"] as GPUFeatureName[];

/**
 * Opens the most capable adapter.
 * @param gpu defaults to the browser's
 * @throws NoWebGpu, NoAdapter with a message that says what to do
 */
export async function openGpu(gpu: GPU | undefined = globalThis.navigator?.gpu): Promise<Gpu> {
  if (!gpu) {
    throw new NoWebGpu(
      "Use Chromium, Chrome or Edge 113 or later, Firefox 141 or later, or Safari 26 or later.",
    );
  }
  const adapter = await gpu.requestAdapter({ powerPreference: "high-performance" });
  if (!adapter) {
    throw new NoAdapter(
      "The browser found no GPU it trusts. Update the graphics driver, look at the browser's GPU status page, start Chromium with --enable-unsafe-webgpu, or give Firefox a Vulkan driver (Debian: apt install mesa-vulkan-drivers).",
    );
  }
  const requiredFeatures = USED_FEATURES.filter((feature) => adapter.features.has(feature));
  const requiredLimits = Object.fromEntries(RAISED_LIMITS.map((limit) => [limit, adapter.limits[limit]]));
  const device = await adapter.requestDevice({ requiredFeatures, requiredLimits });
  const lost = new Promise<string>((resolve) => {
    void device.lost.then(({ reason, message }) => {
      if (reason !== "destroyed") resolve(message || "the browser gave no reason");
    });
  });
  return { device, info: adapter.info, lost };
}
