// Does a job where it is: in a browser's page or on Dawn in Node.
import { openGpu } from "../../web/engine/device.ts";
import type { Contender, OpenContender } from "./contender.ts";
import type { ContenderName } from "./names.ts";
import type { Job } from "./job.ts";
import { benchMatmul } from "./kernels.ts";
import { benchCodecs } from "./reduce.ts";
import type { Report } from "./result.ts";
import { benchStep } from "./step.ts";

/** Loaded only when asked for: one that does not load fails alone. */
const MODULES: Record<ContenderName, () => Promise<{ default: OpenContender }>> = {
  ours: () => import("./contenders/ours.ts"),
  jax: () => import("./contenders/jax.ts"),
  tfjs: () => import("./contenders/tfjs.ts"),
  "webgpu-llm": () => import("./contenders/webgpu-llm.ts"),
};

export async function runJob(job: Job, say: (line: string) => void): Promise<Report> {
  const gpu = await openGpu();
  const { info, device } = gpu;
  const storages = device.features.has("shader-f16") ? [false, true] : [false];
  const opened = new Map<ContenderName, Promise<Contender>>();
  const open = (name: ContenderName) => {
    const contender = opened.get(name) ?? MODULES[name]().then((module) => module.default());
    opened.set(name, contender);
    return contender;
  };
  const { contenders, rounds, sizes } = job;
  if (job.command === "reduce") {
    return { adapter: adapterName(info), measurements: [], codecs: await benchCodecs(gpu, rounds, say) };
  }
  const measurements = [];
  if (job.command === "kernels") {
    for (const halves of storages) {
      for (const n of sizes) measurements.push(await benchMatmul(n, halves, open, contenders, rounds, say));
    }
  } else {
    measurements.push(await benchStep(open, contenders, job.model, rounds, say));
  }
  return { adapter: adapterName(info), measurements };
}

/** What the browser tells of the adapter. Firefox tells nothing but whether it is software. */
function adapterName({
  vendor,
  architecture,
  device,
  description,
  isFallbackAdapter,
}: GPUAdapterInfo): string {
  const join = (...parts: string[]) => parts.filter((part) => part !== "").join(" ");
  const told = join(vendor, architecture) || join(device, description);
  return told || (isFallbackAdapter ? "software" : "unnamed");
}
