// The point of strategy `sync`: however the model is cut and wherever it runs, the losses are those of one device.
import { describe, expect, test } from "vitest";
import type { RunConfig } from "../../core/model/config.ts";
import { microbatchBytes } from "../../core/plan/traffic.ts";
import { tinyConfig } from "../fixtures/configs.ts";
import { sharedCluster } from "./cluster.ts";
import { eventsOf } from "./command.ts";

const cluster = sharedCluster();

async function losses(config: RunConfig, workers: readonly string[]): Promise<number[]> {
  return eventsOf(await cluster.run(config, workers), "step").map(({ loss }) => loss);
}

function largestDifference(a: number[], b: number[]): number {
  return Math.max(...a.map((loss, i) => Math.abs(loss - b[i]!) / loss));
}

describe.each([
  {
    tied: false,
    others: [
      { workers: ["a-1", "b-1"], stages: "auto" as const },
      { workers: ["a-1", "a-2", "a-3", "b-1", "b-2"], stages: 3 },
      // Two replicas inside the site, and a spare worker.
      { workers: ["a-1", "a-2", "a-3", "a-4", "a-5"], stages: 2 },
    ],
  },
  { tied: true, others: [{ workers: ["a-1", "a-2", "b-1"], stages: 2 }] },
])("20 steps, embeddings tied: $tied", ({ tied, others }) => {
  const config = tinyConfig({ model: { ...tinyConfig().model, tied } });

  test(`${others.map(({ workers }) => workers.join("+")).join(", ")} as a-1`, async () => {
    const alone = await losses(config, ["a-1"]);
    expect(alone).toHaveLength(20);
    expect(alone.at(-1)!).toBeLessThan(alone[0]! - 0.5);
    for (const { workers, stages } of others) {
      const together = await losses({ ...config, stages }, workers);
      expect(largestDifference(alone, together), workers.join()).toBeLessThan(1e-4);
    }
  });
});

test("activations in int8, and gradients between sites in int8, take a quarter of the bytes; the losses stay close", async () => {
  const config = tinyConfig();
  const run = async (codec: RunConfig["activations"]) => {
    const compressed: RunConfig = {
      ...config,
      stages: 2,
      activations: codec,
      strategy: { kind: "sync", gradients: codec },
    };
    const events = await cluster.run(compressed, ["a-1", "a-2", "b-1"]);
    return {
      losses: eventsOf(events, "step").map(({ loss }) => loss),
      done: eventsOf(events, "done")[0]!,
    };
  };
  const full = await run("f32");
  const { losses, done } = await run("int8");
  expect(largestDifference(full.losses, losses)).toBeLessThan(3e-2);
  // A little more than a quarter: each block has a scale, and small tensors are small blocks. The runs' plans differ, as
  // the measured speeds do: what is needed is held against what the same plan needs in f32.
  const ofMicrobatch = (activations: RunConfig["activations"]) => microbatchBytes({ ...config, activations });
  expect(ofMicrobatch("int8") / ofMicrobatch("f32")).toBeCloseTo(0.25, 2);
  const sent = (done.siteBytesBy.activation ?? 0) + (done.siteBytesBy.gradient ?? 0);
  expect(sent).toBeGreaterThanOrEqual(done.activationBytesNeeded);
  // A header on each tensor of a thousand bytes.
  expect(sent / done.activationBytesNeeded).toBeLessThan(1.2);
  expect(done.wideBytes / full.done.wideBytes).toBeLessThan(0.27);
});
