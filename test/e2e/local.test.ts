// `tributary local` from the text to the exported model, on real browsers.
import { writeFileSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { readText } from "../../server/corpus.ts";
import { tinyConfig } from "../fixtures/configs.ts";
import {
  configFile,
  dataFolder,
  EVEN_PACE,
  eventsOf,
  localRun,
  scratchFolder,
  tributary,
} from "./command.ts";

const data = dataFolder();

test("a run on two sites: bytes as needed; the exported model gives the run's validation loss and samples", async () => {
  const folder = scratchFolder();
  // Frames as large as in real use: a header weighs nothing beside them.
  const config = tinyConfig({
    model: { ...tinyConfig().model, context: 64 },
    batch: 8,
    microbatch: 2,
    steps: 10,
    stages: 2,
  });
  // A change of plan would send more.
  const even = ["a", "b"].map((site) => `${site}:2:chromium:${EVEN_PACE}`).join();
  const events = await localRun(config, even, data);
  const [done] = eventsOf(events, "done");
  expect(done).toMatchObject({ steps: 10, workersLost: 0, stepsRetried: 0 });
  expect(eventsOf(events, "sample")).toHaveLength(1);

  // What site links carried is what activations and their gradients need, plus at most 5 percent.
  expect(done!.siteBytes).toBeGreaterThan(done!.activationBytesNeeded);
  expect(done!.siteBytes).toBeLessThan(done!.activationBytesNeeded * 1.05);
  // Across two sites each parameter's gradient goes once each way, every step.
  const gradientBytes = 2 * 4 * 10 * eventsOf(events, "started")[0]!.parameters;
  expect(done!.wideBytes).toBeGreaterThan(gradientBytes);
  expect(done!.wideBytes).toBeLessThan(gradientBytes * 1.05);

  const out = join(folder, "exported");
  expect(await tributary(["export", done!.run, "--out", out, "--data", data])).toMatchObject({ code: 0 });
  expect((await readdir(out)).sort()).toEqual(["config.json", "model.safetensors", "tokenizer.json"]);
  expect(JSON.parse(await readFile(join(out, "config.json"), "utf8"))).toMatchObject({
    architectures: ["LlamaForCausalLM"],
    hidden_size: 32,
  });

  const text = new TextEncoder().encode(await readText(config.data.text));
  const validation = join(folder, "validation.txt");
  writeFileSync(validation, text.subarray(Math.floor(text.length * (1 - config.data.valid))));
  const evaluated = await tributary(["eval", out, "--text", validation, "--json"]);
  const { nll, tokens } = JSON.parse(evaluated.stdout) as { nll: number; tokens: number };
  expect(Math.abs(nll - done!.validLoss!)).toBeLessThan(1e-4);
  expect(tokens).toBe(eventsOf(events, "valid").at(-1)!.tokens);

  const greedy = ["sample", out, "--prompt", "the ", "--tokens", "5", "--temperature", "0"];
  const [first, second] = [await tributary(greedy), await tributary(greedy)];
  expect(first).toMatchObject({ code: 0 });
  expect(first.stdout.startsWith("the ")).toBe(true);
  expect(second.stdout).toBe(first.stdout);

  // The exported directory is a place to start from again.
  const again = await localRun({ ...config, init: out, steps: 1 }, "a:1", data);
  expect(eventsOf(again, "step")[0]!.loss).toBeLessThan(eventsOf(events, "step")[0]!.loss - 0.3);
  const smaller = configFile(folder, { ...config, init: out, model: { ...config.model, layers: 2 } });
  const refused = await tributary(["local", smaller, "--sites", "a:1", "--data", data]);
  expect(refused.code).toBe(2);
  expect(refused.stderr).toMatch(/has model.layers 3, the configuration says 2/);
});
