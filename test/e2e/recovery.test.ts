// A worker that goes: the others go on from what a replica holds, or else from the latest checkpoint; and no step is lost.
import type { Page } from "playwright";
import { expect, onTestFinished, test, vi } from "vitest";
import type { RunEvent } from "../../core/protocol/events.ts";
import { FRAME_KINDS } from "../../core/protocol/frame.ts";
import { startServer } from "../../server/app.ts";
import { launchChromium } from "../../server/browser.ts";
import { joinSite } from "../../server/headless.ts";
import { CHECK_MS } from "../../server/watchdog.ts";
import { tinyConfig } from "../fixtures/configs.ts";
import { EVEN_PACE, eventsOf, scratchFolder } from "./command.ts";
import { runLosingSite } from "./losing-a-site.ts";
import { eventsUntilEnd } from "./run-to-end.ts";

const STEPS = 40;

test("the browser of one site is killed in the middle of a run: the other has all, and no step is done again", async () => {
  const events = await runLosingSite(tinyConfig({ steps: STEPS, checkpointEvery: 5 }), 7);
  expect(eventsOf(events, "failed")).toEqual([]);
  const [recovered] = eventsOf(events, "recovered");
  expect(recovered!.step).toBeGreaterThanOrEqual(7);
  expect(recovered!.reason).toMatch(/worker b-1 /);
  const [done] = eventsOf(events, "done");
  expect(done).toMatchObject({ steps: STEPS, workersLost: 1 });
  // The one that was under way.
  expect(done!.stepsRetried).toBeLessThanOrEqual(1);
  expect(eventsOf(events, "step").map(({ step }) => step)).toEqual(
    Array.from({ length: STEPS }, (_, i) => i + 1),
  );
});

test("a worker that is killed while it gives its state to another: that one goes on from the checkpoint", async () => {
  const server = await startServer({ port: 0, host: "localhost", data: scratchFolder(), tls: false });
  onTestFinished(() => server.close());
  const headless = await launchChromium();
  onTestFinished(() => headless.browser.close());
  const join = async (page: Page) => {
    await joinSite(page, { server: server.url, site: "a", token: server.tokens.worker, pace: EVEN_PACE });
    return page;
  };
  await join(await headless.context.newPage());
  const giving = await headless.context.newPage();
  await giving.addInitScript(cutLinksAtFrame, FRAME_KINDS.state);
  await join(giving);
  const ended = eventsUntilEnd(server.coordinator);
  await server.coordinator.start(tinyConfig({ steps: STEPS, stages: 2, checkpointEvery: 5 }));
  await expect.poll(() => server.coordinator.snapshot().run!.step, { timeout: 60_000 }).toBeGreaterThan(6);
  await giving.getByRole("button", { name: "Pause" }).click();
  await giving.waitForSelector("html[data-cut]");
  await giving.close();
  const events = await ended;
  expect(eventsOf(events, "failed")).toEqual([]);
  const [recovered] = eventsOf(events, "recovered");
  expect(recovered!.reason).toMatch(/worker a-2 /);
  expect(recovered!.step % 5).toBe(0);
  expect(eventsOf(events, "done")[0]).toMatchObject({ steps: STEPS, workersLost: 1 });
  // Every step is there, and those that were done again have the losses they had.
  const losses = new Map<number, number>();
  for (const { step, loss } of eventsOf(events, "step")) {
    expect(Math.abs((losses.get(step) ?? loss) / loss - 1)).toBeLessThan(1e-4);
    losses.set(step, loss);
  }
  expect([...losses.keys()]).toEqual(Array.from({ length: STEPS }, (_, i) => i + 1));
});

/** In a page: nothing goes over its data channels any more from the first frame of this kind on. */
function cutLinksAtFrame(kind: number): void {
  const { send } = RTCDataChannel.prototype;
  const magic = [...new TextEncoder().encode("TRB1")];
  let isCut = false;
  RTCDataChannel.prototype.send = function (data: never) {
    const bytes = new Uint8Array((data as Uint8Array).buffer ?? data);
    const at = bytes.findIndex((_, i) => magic.every((byte, j) => bytes[i + j] === byte));
    isCut ||= at >= 0 && bytes[at + 5] === kind;
    if (isCut) document.documentElement.dataset.cut = "";
    else send.call(this, data);
  };
}

test("a GPU device lost in the middle of a run: the page stays, opens it again and takes its part again", async () => {
  const server = await startServer({ port: 0, host: "localhost", data: scratchFolder(), tls: false });
  onTestFinished(() => server.close());
  const headless = await launchChromium();
  onTestFinished(() => headless.browser.close());
  const page = await headless.context.newPage();
  let loads = 0;
  page.on("load", () => loads++);
  await joinSite(page, { server: server.url, site: "a", token: server.tokens.worker, pace: null });
  let crashed = false;
  const devtools = await headless.browser.newBrowserCDPSession();
  const ended = eventsUntilEnd(server.coordinator, (event) => {
    if (event.event !== "step" || event.step !== 7 || crashed) return;
    crashed = true;
    void devtools.send("Browser.crashGpuProcess");
  });
  await server.coordinator.start(tinyConfig({ steps: 30, checkpointEvery: 10 }));
  const events = await ended;
  expect(eventsOf(events, "failed")).toEqual([]);
  expect(eventsOf(events, "recovered")).not.toEqual([]);
  expect(eventsOf(events, "done")[0]).toMatchObject({ steps: 30 });
  expect(loads).toBe(1);
});

test("the server is started again in the middle of a run: workers come back, and it goes on from its checkpoint", async () => {
  const data = scratchFolder();
  const first = await startServer({ port: 0, host: "localhost", data, tls: false });
  const headless = await launchChromium();
  onTestFinished(() => headless.browser.close());
  const page = await headless.context.newPage();
  await joinSite(page, { server: first.url, site: "a", token: first.tokens.worker, pace: null });
  const before: RunEvent[] = [];
  const reached = new Promise<void>((resolve) => {
    first.coordinator.subscribe((update) => {
      if (update.type !== "event") return;
      before.push(update.event);
      if (update.event.event === "step" && update.event.step === 13) resolve();
    });
  });
  const run = await first.coordinator.start(tinyConfig({ steps: STEPS, checkpointEvery: 5 }));
  await reached;
  await first.close();
  const port = Number(new URL(first.url).port);
  const second = await startServer({ port, host: "localhost", data, tls: false, goesOn: true });
  onTestFinished(() => second.close());
  const events = await eventsUntilEnd(second.coordinator);
  expect(eventsOf(events, "failed")).toEqual([]);
  expect(eventsOf(events, "done")[0]).toMatchObject({ run, steps: STEPS });
  const [recovered] = eventsOf(second.coordinator.history().events, "recovered").slice(-1);
  expect(recovered!.reason).toBe("the server was started again");
  // From the latest checkpoint on, with the losses that steps done again had.
  const [next] = eventsOf(events, "step");
  expect([6, 11]).toContain(next!.step);
  const losses = new Map(eventsOf(before, "step").map(({ step, loss }) => [step, loss]));
  for (const { step, loss } of eventsOf(events, "step")) {
    expect(Math.abs((losses.get(step) ?? loss) / loss - 1)).toBeLessThan(1e-4);
  }
  expect(eventsOf(events, "step").map(({ step }) => step)).toEqual(
    Array.from({ length: STEPS - next!.step + 1 }, (_, i) => next!.step + i),
  );
});

test("a training worker that hangs: its page is dismissed, the run goes on, and the page joins again with a fresh one", async () => {
  const server = await startServer({ port: 0, host: "localhost", data: scratchFolder(), tls: false });
  onTestFinished(() => server.close());
  const { coordinator } = server;
  const headless = await launchChromium();
  onTestFinished(() => headless.browser.close());
  let heard = (): void => {};
  const join = async (site: string) => {
    const page = await headless.context.newPage();
    page.on("websocket", (socket) =>
      socket.on("framesent", ({ payload }) => {
        if (site === "a" && String(payload).includes('"alive"')) heard();
      }),
    );
    await joinSite(page, { server: server.url, site, token: server.tokens.worker, pace: EVEN_PACE });
    return page;
  };
  await join("a");
  const hanging = await join("b");
  // The run's watchdog goes by the test's clock: it never asks again before the worker that lives has answered.
  vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
  onTestFinished(() => void vi.useRealTimers());
  const ended = eventsUntilEnd(coordinator, ({ event }) => {
    if (event === "step" && coordinator.snapshot().run!.step === 7) coordinator.pause(run);
  });
  const run = await coordinator.start(tinyConfig({ steps: STEPS, checkpointEvery: 5 }));
  await expect.poll(() => coordinator.snapshot().run!.status, { timeout: 60_000 }).toBe("paused");
  await hanging.workers()[0]!.evaluate("void setTimeout(() => { for (;;); })");
  coordinator.resume(run);
  await new Promise(setImmediate);
  while (coordinator.snapshot().workers.some(({ id }) => id === "b-1")) {
    const answer = new Promise<void>((resolve) => (heard = resolve));
    vi.advanceTimersByTime(CHECK_MS);
    await answer;
  }
  const events = await ended;
  expect(eventsOf(events, "failed")).toEqual([]);
  expect(eventsOf(events, "recovered")[0]!.reason).toMatch(
    /^worker b-1 was dismissed: the page did not answer/,
  );
  expect(eventsOf(events, "done")[0]).toMatchObject({ steps: STEPS, workersLost: 1 });
  expect(eventsOf(events, "step").map(({ step }) => step)).toEqual(
    Array.from({ length: STEPS }, (_, i) => i + 1),
  );
  await hanging
    .getByText(/goes on without this machine, because the page did not answer/)
    .first()
    .waitFor();
  await expect
    .poll(() => coordinator.snapshot().workers.map(({ id }) => id), { timeout: 60_000 })
    .toContain("b-2");
});
