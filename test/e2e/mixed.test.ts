// Chromium and Firefox in one run: two adapters, two shader compilers, two WebRTC stacks; the losses of one device.
import { describe, expect, test } from "vitest";
import type { RunConfig } from "../../core/model/config.ts";
import type { RunEvent } from "../../core/protocol/events.ts";
import { findFirefox } from "../../server/firefox.ts";
import { tinyConfig } from "../fixtures/configs.ts";
import { sharedCluster } from "./cluster.ts";
import { eventsOf } from "./command.ts";

const STEPS = 50;
const config: RunConfig = tinyConfig({ steps: STEPS, stages: 2 });

describe.skipIf(!findFirefox())("where Firefox is installed", () => {
  const cluster = sharedCluster();
  const workers = () => cluster.server.coordinator.snapshot().workers;
  let alone: readonly number[] = [];

  test("the list of workers names browsers and speeds", async () => {
    await cluster.open("a", { browser: "firefox" });
    await cluster.open("a");
    await cluster.open("b");
    expect(workers()).toMatchObject([
      { id: "a-1", browser: expect.stringMatching(/^Firefox \d+$/) },
      { id: "a-2", browser: expect.stringMatching(/^Chromium \d+$/) },
      { id: "b-1", browser: expect.stringMatching(/^Chromium \d+$/) },
    ]);
    // Each measures itself once it has joined.
    const measured = () => workers().filter(({ speed }) => speed !== null && speed.block > 0);
    await expect.poll(measured, { timeout: 120_000, interval: 200 }).toHaveLength(3);
  });

  test("one device, to compare with", async () => {
    alone = lossesOf(await cluster.run(config, ["b-1"]));
    expect(alone).toHaveLength(STEPS);
  });

  test.each([
    ["two sites", ["a-1", "b-1"], "wideBytes"],
    ["one pipeline", ["a-1", "a-2"], "siteBytes"],
  ] as const)("%s of Chromium and Firefox", async (_, together, link) => {
    const events = await cluster.run(config, together);
    const differences = lossesOf(events).map((loss, i) => Math.abs(loss - alone[i]!) / alone[i]!);
    expect(differences).toHaveLength(STEPS);
    expect(Math.max(...differences)).toBeLessThan(1e-4);
    // Straight from page to page, at the first attempt.
    expect(eventsOf(events, "worker").filter(({ state }) => /server/.test(state))).toEqual([]);
    const [done] = eventsOf(events, "done");
    expect(done).toMatchObject({ stepsRetried: 0, workersLost: 0 });
    expect(done![link]).toBeGreaterThan(0);
  });

  test("a worker whose browser is closed leaves the list", async () => {
    await cluster.closeWorker("a-1");
    await expect.poll(() => workers().map(({ id }) => id)).toEqual(["a-2", "b-1"]);
  });
});

function lossesOf(events: readonly RunEvent[]): number[] {
  return eventsOf(events, "step").map(({ loss }) => loss);
}
