// The point of strategy `sync`: however the model is cut and wherever it runs, the losses are those of one device.
import { describe, expect, test } from "vitest";
import type { RunConfig } from "../../core/model/config.ts";
import { tinyConfig } from "../fixtures/configs.ts";
import { dataFolder, eventsOf, localRun } from "./command.ts";

const data = dataFolder();

async function losses(config: RunConfig, sites: string): Promise<number[]> {
  const events = await localRun(config, sites, data);
  return eventsOf(events, "step").map(({ loss }) => loss);
}

function largestDifference(a: number[], b: number[]): number {
  return Math.max(...a.map((loss, i) => Math.abs(loss - b[i]!) / loss));
}

describe.each([
  {
    tied: false,
    others: [
      { sites: "a:2", stages: "auto" },
      { sites: "a:1,b:1", stages: "auto" },
      { sites: "a:3,b:2", stages: "auto" },
      // Two replicas inside the site, and a spare worker.
      { sites: "a:5", stages: 2 },
    ] as const,
  },
  { tied: true, others: [{ sites: "a:2,b:1", stages: "auto" }] as const },
])("20 steps, embeddings tied: $tied", ({ tied, others }) => {
  const config = tinyConfig({ model: { ...tinyConfig().model, tied } });

  test(`${others.map(({ sites }) => sites).join("  ")}  as  a:1`, async () => {
    const alone = await losses(config, "a:1");
    expect(alone).toHaveLength(20);
    expect(alone.at(-1)!).toBeLessThan(alone[0]! - 0.5);
    for (const { sites, stages } of others) {
      expect(largestDifference(alone, await losses({ ...config, stages }, sites)), sites).toBeLessThan(1e-4);
    }
  });
});

test("activations in f16 and int8 take a half and a quarter of the bytes, and the losses stay close", async () => {
  const config = tinyConfig();
  const run = async (activations: RunConfig["activations"], sites: string) => {
    const events = await localRun({ ...config, activations }, sites, data);
    const { siteBytesBy, activationBytesNeeded } = eventsOf(events, "done")[0]!;
    return {
      losses: eventsOf(events, "step").map(({ loss }) => loss),
      sent: (siteBytesBy.activation ?? 0) + (siteBytesBy.gradient ?? 0),
      needed: activationBytesNeeded,
    };
  };
  const alone = await run("f32", "a:1");
  const full = await run("f32", "a:2");
  for (const [activations, closeness, share] of [
    ["f16", 1e-3, 1 / 2],
    ["int8", 2e-2, 1 / 4],
  ] as const) {
    const { losses, sent, needed } = await run(activations, "a:2");
    expect(largestDifference(alone.losses, losses), activations).toBeLessThan(closeness);
    expect(needed / full.needed / share).toBeCloseTo(1, 2);
    expect(sent).toBeGreaterThanOrEqual(needed);
    // Tiny tensors: headers count for more than in a real run.
    expect(sent / needed).toBeLessThan(1.1);
  }
});

test("gradients in int8 between sites take a quarter of the bytes, and the losses stay close", async () => {
  const config = tinyConfig();
  const run = async (gradients: RunConfig["strategy"]["gradients"], sites: string) => {
    const events = await localRun({ ...config, strategy: { kind: "sync", gradients } }, sites, data);
    const { wideBytes } = eventsOf(events, "done")[0]!;
    return { losses: eventsOf(events, "step").map(({ loss }) => loss), wideBytes };
  };
  const full = await run("f32", "a:1,b:1");
  const { losses, wideBytes } = await run("int8", "a:1,b:2");
  expect(largestDifference(full.losses, losses)).toBeLessThan(1e-2);
  expect(wideBytes / full.wideBytes).toBeLessThan(0.27);
});
