// Chromium and Firefox in one run: two adapters, two shader compilers, two WebRTC stacks; the losses of one device.
import { expect, onTestFinished, test } from "vitest";
import type { RunConfig } from "../../core/model/config.ts";
import type { RunEvent } from "../../core/protocol/events.ts";
import { startServer } from "../../server/app.ts";
import type { BrowserKind } from "../../server/browsers.ts";
import { findFirefox } from "../../server/firefox.ts";
import { openWorkers } from "../../server/headless.ts";
import { tinyConfig } from "../fixtures/configs.ts";
import { dataFolder, EVEN_PACE, eventsOf, localRun, scratchFolder } from "./command.ts";

const STEPS = 6;
const base = tinyConfig({ steps: STEPS, stages: 2 });
// Little to validate: each window of a pipeline is a round trip.
const config: RunConfig = { ...base, data: { ...base.data, valid: 0.001 } };
const data = dataFolder();

let alone: readonly number[] = [];

test.skipIf(!findFirefox())("one device, to compare with (where Firefox is installed)", async () => {
  alone = lossesOf(await localRun(config, "a:1", data));
  expect(alone).toHaveLength(STEPS);
});

test.skipIf(!findFirefox()).each([
  ["two sites", `a:1:chromium:${EVEN_PACE},b:1:firefox:${EVEN_PACE}`, "wideBytes"],
  ["one pipeline", "a:1:firefox,a:1:chromium", "siteBytes"],
] as const)("%s of Chromium and Firefox (where it is installed)", async (_, sites, link) => {
  const events = await localRun(config, sites, data);
  const differences = lossesOf(events).map((loss, i) => Math.abs(loss - alone[i]!) / alone[i]!);
  expect(differences).toHaveLength(STEPS);
  expect(Math.max(...differences)).toBeLessThan(1e-4);
  // Straight from page to page, at the first attempt.
  expect(eventsOf(events, "worker").filter(({ state }) => /server/.test(state))).toEqual([]);
  const [done] = eventsOf(events, "done");
  expect(done).toMatchObject({ stepsRetried: 0, workersLost: 0 });
  expect(done![link]).toBeGreaterThan(0);
});

test.skipIf(!findFirefox())(
  "the list of workers names browsers and speeds; a worker that is closed leaves it (where Firefox is installed)",
  async () => {
    const server = await startServer({ port: 0, host: "localhost", data: scratchFolder(), tls: false });
    onTestFinished(() => server.close());
    const open = (browser: BrowserKind) =>
      openWorkers({
        server: server.url,
        token: server.tokens.worker,
        site: "a",
        count: 1,
        browser,
        pace: null,
      });
    const firefox = await open("firefox");
    onTestFinished(() => firefox.close());
    const chromium = await open("chromium");
    onTestFinished(() => chromium.close());
    const workers = () => server.coordinator.snapshot().workers;
    expect(workers()).toMatchObject([
      { id: "a-1", browser: expect.stringMatching(/^Firefox \d+$/) },
      { id: "a-2", browser: expect.stringMatching(/^Chromium \d+$/) },
    ]);
    // Each measures itself once it has joined.
    const measured = () => workers().filter(({ speed }) => speed !== null && speed.block > 0);
    await expect.poll(measured, { timeout: 120_000, interval: 200 }).toHaveLength(2);
    await firefox.close();
    await expect.poll(() => workers().map(({ id }) => id)).toEqual(["a-2"]);
  },
);

function lossesOf(events: readonly RunEvent[]): number[] {
  return eventsOf(events, "step").map(({ loss }) => loss);
}
