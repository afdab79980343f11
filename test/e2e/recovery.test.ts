// A worker that goes: the others go on from the latest checkpoint.
import { expect, onTestFailed, onTestFinished, test } from "vitest";
import type { RunEvent } from "../../core/protocol/events.ts";
import { startServer } from "../../server/app.ts";
import { launchChromium } from "../../server/browser.ts";
import { joinSite } from "../../server/headless.ts";
import { tinyConfig } from "../fixtures/configs.ts";
import { eventsOf, scratchFolder } from "./command.ts";
import { runLosingSite } from "./losing-a-site.ts";

test("the browser of one site is killed in the middle of a run", async () => {
  const events = await runLosingSite(tinyConfig({ steps: 12, checkpointEvery: 5 }), 7);
  expect(eventsOf(events, "failed")).toEqual([]);
  const [recovered] = eventsOf(events, "recovered");
  expect(recovered).toMatchObject({ step: 5, generation: 2 });
  expect(recovered!.reason).toMatch(/worker b-1 /);
  expect(eventsOf(events, "done")[0]).toMatchObject({ steps: 12, workersLost: 1 });
  // Steps that were done again have the losses they had: the same batches, from the same state.
  const losses = new Map<number, number[]>();
  for (const { step, loss } of eventsOf(events, "step"))
    losses.set(step, [...(losses.get(step) ?? []), loss]);
  const [first, again] = losses.get(6)!;
  expect(Math.abs(first! - again!) / first!).toBeLessThan(1e-4);
});

test("a GPU device lost in the middle of a run: the page stays, opens it again and takes its part again", async () => {
  const server = await startServer({ port: 0, host: "localhost", data: scratchFolder(), tls: false });
  onTestFinished(() => server.close());
  const headless = await launchChromium();
  onTestFinished(() => headless.browser.close());
  const page = await headless.context.newPage();
  let loads = 0;
  page.on("load", () => loads++);
  await joinSite(page, { server: server.url, site: "a", token: server.tokens.worker, pace: null });
  const events: RunEvent[] = [];
  onTestFailed(() => console.error(JSON.stringify({ events, server: server.coordinator.snapshot() })));
  let crashed = false;
  const devtools = await headless.browser.newBrowserCDPSession();
  const ended = new Promise<void>((resolve) => {
    server.coordinator.subscribe((update) => {
      if (update.type !== "event") return;
      events.push(update.event);
      if (update.event.event === "step" && update.event.step === 7 && !crashed) {
        crashed = true;
        void devtools.send("Browser.crashGpuProcess");
      }
      if (["done", "failed"].includes(update.event.event)) resolve();
    });
  });
  await server.coordinator.start(tinyConfig({ steps: 30, checkpointEvery: 10 }));
  await ended;
  expect(eventsOf(events, "failed")).toEqual([]);
  expect(eventsOf(events, "recovered")).not.toEqual([]);
  expect(eventsOf(events, "done")[0]).toMatchObject({ steps: 30 });
  expect(loads).toBe(1);
});
