// Links between real browsers are measured while a run trains, and what is found is known to later plans.
import { afterAll, beforeAll, expect, test } from "vitest";
import { startServer, type RunningServer } from "../../server/app.ts";
import { openWorkers, type HeadlessWorkers } from "../../server/headless.ts";
import { tinyConfig } from "../fixtures/configs.ts";
import { dataFolder, EVEN_PACE, eventsOf } from "./command.ts";

const data = dataFolder();
let server: RunningServer;
const opened: HeadlessWorkers[] = [];

beforeAll(async () => {
  server = await startServer({ port: 0, host: "localhost", data, tls: false });
  for (const [site, count] of [["a", 2] as const, ["b", 1] as const]) {
    const { url, tokens } = server;
    opened.push(
      await openWorkers({
        server: url,
        token: tokens.worker,
        site,
        count,
        browser: "chromium",
        pace: EVEN_PACE,
      }),
    );
  }
}, 180_000);

afterAll(async () => {
  await Promise.all(opened.map((workers) => workers.close()));
  await server?.close();
});

/** Measured links, as "from to". */
function measured(): string[] {
  return server.coordinator
    .snapshot()
    .workers.flatMap(({ id, links }) => links.map(({ peer }) => `${id} ${peer}`));
}

test("rate and delay of each link reach the server in both directions, and runs go on with them", async () => {
  const run = await server.coordinator.start(tinyConfig({ stages: 2, steps: 100_000 }));
  for (const between of [/^a-1 a-2$/, /^a-2 a-1$/, /^a-\d b-1$/, /^b-1 a-\d$/]) {
    await expect.poll(measured, { timeout: 60_000 }).toContainEqual(expect.stringMatching(between));
  }
  await server.coordinator.stop(run);
  const { siteBytesBy, wideBytesBy } = server.coordinator.snapshot().run!;
  expect(siteBytesBy["probe"]).toBeGreaterThan(0);
  expect(wideBytesBy["probe"]).toBeGreaterThan(0);

  await server.coordinator.start(tinyConfig({ stages: 2, steps: 5 }));
  await expect
    .poll(() => eventsOf(server.coordinator.history().events, "done"), { timeout: 60_000 })
    .toHaveLength(1);
  const { events } = server.coordinator.history();
  expect(eventsOf(events, "done")[0]).toMatchObject({ steps: 5, stepsRetried: 0, workersLost: 0 });
  expect(eventsOf(events, "failed")).toEqual([]);
}, 240_000);
