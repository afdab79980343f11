// A run of which a worker is killed on the way.
import { onTestFinished } from "vitest";
import type { RunConfig } from "../../core/model/config.ts";
import type { RunEvent } from "../../core/protocol/events.ts";
import { startServer } from "../../server/app.ts";
import { openWorkers } from "../../server/headless.ts";
import { EVEN_PACE, scratchFolder } from "./command.ts";
import { eventsUntilEnd } from "./run-to-end.ts";

/** Sites a and b, a worker each; the browser of b is closed after step `at`. Every event, to the run's end. */
export const runLosingSite = (config: RunConfig, at: number): Promise<RunEvent[]> =>
  runLosing(config, { workers: ["a-1", "b-1"], leaving: "b-1", at });

/** Workers by site and number, in the order in which they join, a browser each; that of `leaving` is closed after step `at`. */
export async function runLosing(
  config: RunConfig,
  {
    workers,
    leaving,
    at,
  }: { readonly workers: readonly string[]; readonly leaving: string; readonly at: number },
): Promise<RunEvent[]> {
  const server = await startServer({ port: 0, host: "localhost", data: scratchFolder(), tls: false });
  onTestFinished(() => server.close());
  let leave = (): void => {};
  for (const worker of workers) {
    const opened = await openWorkers({
      server: server.url,
      site: worker.split("-")[0]!,
      token: server.tokens.worker,
      count: 1,
      browser: "chromium",
      pace: EVEN_PACE,
    });
    if (worker === leaving) leave = () => void opened.close();
    else onTestFinished(() => opened.close());
  }
  const ended = eventsUntilEnd(server.coordinator, (event) => {
    if (event.event === "step" && event.step === at) leave();
  });
  await server.coordinator.start(config);
  return ended;
}
