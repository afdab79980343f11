// A server and workers that the tests of a file share: a page costs seconds, most of them for kernels, which it keeps.
// Who is to sit out a run is paused, as a person would do it.
import { afterAll, beforeAll } from "vitest";
import type { RunConfig } from "../../core/model/config.ts";
import type { RunEvent } from "../../core/protocol/events.ts";
import { startServer, type RunningServer } from "../../server/app.ts";
import { launchChromium, type HeadlessBrowser } from "../../server/browser.ts";
import { openFirefoxPage } from "../../server/firefox-page.ts";
import type { WebPage } from "../../server/headless-page.ts";
import { joinSite } from "../../server/headless.ts";
import { dataFolder, EVEN_PACE } from "./command.ts";
import { eventsUntilEnd } from "./run-to-end.ts";

interface Worker {
  readonly id: string;
  readonly page: WebPage;
  readonly close: () => Promise<void>;
  paused: boolean;
}

export class Cluster {
  server!: RunningServer;
  #chromium: HeadlessBrowser | undefined;
  readonly #workers = new Map<string, Worker>();
  readonly #joined = new Map<string, number>();

  async start(data: string): Promise<void> {
    this.server = await startServer({ port: 0, host: "localhost", data, tls: false });
  }

  async close(): Promise<void> {
    await Promise.all([...this.#workers.values()].map(({ close }) => close()));
    await this.#chromium?.browser.close();
    await this.server?.close();
  }

  /**
   * Opens another worker of a site, named as the server names it: "a-1", "a-2". All of one speed, whatever the planner
   * would rather, unless `pace` says otherwise.
   */
  async open(
    site: string,
    {
      browser = "chromium",
      pace = EVEN_PACE as number | null,
    }: { browser?: "chromium" | "firefox"; pace?: number | null } = {},
  ): Promise<void> {
    const { page, close } = await (browser === "firefox" ? firefoxPage() : this.#chromiumPage());
    await joinSite(page, { server: this.server.url, site, token: this.server.tokens.worker, pace });
    const number = (this.#joined.get(site) ?? 0) + 1;
    this.#joined.set(site, number);
    const id = `${site}-${number}`;
    this.#workers.set(id, { id, page, close, paused: false });
  }

  async closeWorker(id: string): Promise<void> {
    await this.#workers.get(id)!.close();
    this.#workers.delete(id);
  }

  /** A run of these workers, to its end: every event. Those that are not there yet are opened. */
  async run(config: RunConfig, workers: readonly string[]): Promise<RunEvent[]> {
    for (const id of workers) if (!this.#workers.has(id)) await this.open(id.split("-")[0]!);
    for (const worker of this.#workers.values()) await this.#setPaused(worker, !workers.includes(worker.id));
    const { coordinator } = this.server;
    const ended = eventsUntilEnd(coordinator);
    await coordinator.start(config);
    return ended;
  }

  async #setPaused(worker: Worker, paused: boolean): Promise<void> {
    if (worker.paused === paused) return;
    await worker.page.evaluate(clickOn(paused ? "Pause" : "Take part again"));
    worker.paused = paused;
    const { coordinator } = this.server;
    const isPaused = () =>
      coordinator.snapshot().workers.find(({ id }) => id === worker.id)!.state === "paused";
    if (isPaused() === paused) return;
    await new Promise<void>((resolve) => {
      const unsubscribe = coordinator.subscribe(() => {
        if (isPaused() !== paused) return;
        unsubscribe();
        resolve();
      });
    });
  }

  async #chromiumPage(): Promise<{ page: WebPage; close: () => Promise<void> }> {
    this.#chromium ??= await launchChromium();
    const page = await this.#chromium.context.newPage();
    return { page, close: () => page.close() };
  }
}

async function firefoxPage() {
  const page = await openFirefoxPage((problem) => console.error(problem));
  return { page, close: () => page.close() };
}

/** An expression that clicks the button of this text in a page. */
const clickOn = (text: string) =>
  `[...document.querySelectorAll("button")].find(({ textContent }) => textContent === ${JSON.stringify(text)}).click()`;

/** One for all tests of a file. */
export function sharedCluster(): Cluster {
  const cluster = new Cluster();
  const data = dataFolder();
  beforeAll(() => cluster.start(data));
  afterAll(() => cluster.close());
  return cluster;
}
