// One training run of several sites in one page.
import type { Tokens } from "../../../core/data/batch.ts";
import type { RunConfig } from "../../../core/model/config.ts";
import { openGpu } from "../../../web/engine/device.ts";
import { InProcessSites, MemoryBlobs } from "../../fixtures/in-process-sites.ts";
import type { Trained } from "./results.ts";

export interface TrainOptions {
  readonly config: RunConfig;
  readonly sites: number;
  /** Parameters to start from, safetensors; null: from the seed. */
  readonly start: Uint8Array<ArrayBuffer> | null;
  readonly tokens: { readonly train: Tokens; readonly valid: Tokens };
  readonly onPoint: (point: Trained["curve"][number]) => void;
}

export async function train({ config, sites, start, tokens, onPoint }: TrainOptions): Promise<Trained> {
  const gpu = await openGpu();
  const blobs = new MemoryBlobs();
  const init = start && (await blobs.put(start));
  const all = await InProcessSites.start({ gpu, config, sites, tokens, blobs, ...(init && { init }) });
  const began = performance.now();
  const curve: Trained["curve"] = [];
  let trained = 0;
  for (let step = 1; step <= config.steps; step++) {
    trained += await all.step();
    if (step % config.validEvery !== 0 && step !== config.steps) continue;
    const point = { step, loss: await all.validate() };
    curve.push(point);
    onPoint(point);
  }
  all.destroy();
  return { curve, wideBytes: all.wideBytes, tokens: trained, seconds: (performance.now() - began) / 1000 };
}
