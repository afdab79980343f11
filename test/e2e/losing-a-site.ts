// A run on two sites, of which one is killed on the way.
import { onTestFinished } from "vitest";
import type { RunConfig } from "../../core/model/config.ts";
import type { RunEvent } from "../../core/protocol/events.ts";
import { startServer } from "../../server/app.ts";
import { openWorkers } from "../../server/headless.ts";
import { EVEN_PACE, scratchFolder } from "./command.ts";
import { eventsUntilEnd } from "./run-to-end.ts";

/** Sites a and b, a worker each; the browser of b is closed after step `at`. Every event, to the run's end. */
export async function runLosingSite(config: RunConfig, at: number): Promise<RunEvent[]> {
  const server = await startServer({ port: 0, host: "localhost", data: scratchFolder(), tls: false });
  onTestFinished(() => server.close());
  const site = (name: string) =>
    openWorkers({
      server: server.url,
      site: name,
      token: server.tokens.worker,
      count: 1,
      browser: "chromium",
      pace: EVEN_PACE,
    });
  const staying = await site("a");
  const leaving = await site("b");
  onTestFinished(() => staying.close());
  const ended = eventsUntilEnd(server.coordinator, (event) => {
    if (event.event === "step" && event.step === at) void leaving.close();
  });
  await server.coordinator.start(config);
  return ended;
}
