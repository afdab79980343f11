// A page without a face: runs a whole model on this browser's GPU for `tributary eval` and `tributary sample`,
// which open it headless and call `window.tributary`. The same engine as in training, so the same loss.
import { windowBatch, windowCount } from "../../core/data/batch.ts";
import { sampleToken } from "../../core/data/sampling.ts";
import { decodeSafetensors } from "../../core/formats/safetensors.ts";
import { ModelConfig } from "../../core/model/config.ts";
import { parameterSpace, stageRange } from "../../core/model/parameters.ts";
import { plainSpec } from "../../core/plan/memory.ts";
import type { ModelPage } from "../../core/protocol/model-page.ts";
import { Random } from "../../core/random.ts";
import { openGpu } from "../engine/device.ts";
import { Stage } from "../engine/stage.ts";

/** Windows scored at once. */
const EVAL_BATCH = 8;

declare global {
  interface Window {
    tributary: ModelPage;
  }
}

/** Batches between two waits for the GPU: enough to keep it busy, few enough not to pile up. */
const BATCHES_IN_FLIGHT = 8;

async function download(url: string): Promise<ArrayBuffer> {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url}: ${response.status}`);
  return response.arrayBuffer();
}

async function wholeModel(model: ModelConfig, modelUrl: string, microbatch: number): Promise<Stage> {
  const spec = plainSpec(model, stageRange(model, 0, model.layers), microbatch);
  const stage = await Stage.create(await openGpu(), spec);
  const { tensors } = decodeSafetensors(new Uint8Array(await download(modelUrl)));
  for (const { name, offset } of parameterSpace(model).tensors) {
    stage.write("parameters", tensors.get(name)!.values, offset);
  }
  return stage;
}

window.tributary = {
  async evaluate(config, modelUrl, tokensUrl) {
    const model = ModelConfig.parse(config);
    const T = model.context;
    const tokens = new Uint32Array(await download(tokensUrl));
    const windows = windowCount(tokens.length, T);
    const B = Math.min(EVAL_BATCH, windows);
    const stage = await wholeModel(model, modelUrl, B);
    stage.resetLoss();
    let count = 0;
    for (let first = 0; first < windows; first += B) {
      const batch = windowBatch(tokens, first, B, T);
      stage.setTokens(0, batch.inputs, batch.targets);
      stage.evaluate(0);
      count += batch.tokens;
      if ((first / B) % BATCHES_IN_FLIGHT === BATCHES_IN_FLIGHT - 1) await stage.lossSum();
    }
    return { lossSum: await stage.lossSum(), tokens: count };
  },

  async sample(config, modelUrl, prompt, count, temperature, seed) {
    const model = ModelConfig.parse(config);
    const T = model.context;
    const stage = await wholeModel(model, modelUrl, 1);
    const random = new Random(seed);
    const text = [...prompt];
    for (let i = 0; i < count; i++) {
      const rows = text.slice(-T);
      const inputs = new Uint32Array(T);
      inputs.set(rows);
      stage.setTokens(0, inputs, new Uint32Array(T));
      stage.evaluate(0);
      text.push(sampleToken(await stage.logits(rows.length - 1), temperature, random));
    }
    return text.slice(prompt.length);
  },
};
