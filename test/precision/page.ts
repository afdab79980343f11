// What a GPU computes against float64, and a training in f16 against one in f32.
import { openGpu } from "../../web/engine/device.ts";
import { runInPage } from "../bench/in-page.ts";
import { wrongAttention } from "./attention.ts";
import { Job, type Report } from "./job.ts";
import { largeVocabularyError } from "./large-vocabulary.ts";
import { productError } from "./product.ts";
import { compareTrainings } from "./training.ts";

await runInPage(Job, async (job, say): Promise<Report> => {
  const gpu = await openGpu();
  const hasHalves = gpu.device.features.has("shader-f16");
  return {
    hasHalves,
    wrongAttention: hasHalves ? await wrongAttention(gpu) : [],
    productError: hasHalves ? await productError(gpu) : 0,
    largeVocabularyError: await largeVocabularyError(gpu),
    ...(await compareTrainings(gpu, job, say)),
  };
});
