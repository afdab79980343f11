// Weights in f16 against f32 in a browser: a product, then a training.
import { openGpu } from "../../web/engine/device.ts";
import { runInPage } from "../bench/in-page.ts";
import { Job, type Report } from "./job.ts";
import { productError } from "./product.ts";
import { compareTrainings } from "./training.ts";

await runInPage(Job, async (job, say): Promise<Report> => {
  const gpu = await openGpu();
  const hasHalves = gpu.device.features.has("shader-f16");
  return {
    hasHalves,
    productError: hasHalves ? await productError(gpu) : 0,
    ...(await compareTrainings(gpu, job, say)),
  };
});
