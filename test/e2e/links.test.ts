// Links between real browsers are measured while a run trains, and what is found is known to later plans.
import { expect, test } from "vitest";
import { tinyConfig } from "../fixtures/configs.ts";
import { sharedCluster } from "./cluster.ts";
import { eventsOf } from "./command.ts";

const cluster = sharedCluster();

/** Measured links, as "from to". */
function measured(): string[] {
  return cluster.server.coordinator
    .snapshot()
    .workers.flatMap(({ id, links }) => links.map(({ peer }) => `${id} ${peer}`));
}

test("rate and delay of each link reach the server in both directions, and runs go on with them", async () => {
  const workers = ["a-1", "a-2", "b-1"];
  const { coordinator } = cluster.server;
  const measuring = cluster.run(tinyConfig({ stages: 2, steps: 100_000 }), workers);
  for (const between of [/^a-1 a-2$/, /^a-2 a-1$/, /^a-\d b-1$/, /^b-1 a-\d$/]) {
    await expect.poll(measured, { timeout: 60_000 }).toContainEqual(expect.stringMatching(between));
  }
  const { id, siteBytesBy, wideBytesBy } = coordinator.snapshot().run!;
  expect(siteBytesBy["probe"]).toBeGreaterThan(0);
  expect(wideBytesBy["probe"]).toBeGreaterThan(0);
  await coordinator.stop(id);
  await measuring;

  const events = await cluster.run(tinyConfig({ stages: 2, steps: 5 }), workers);
  expect(eventsOf(events, "done")[0]).toMatchObject({ steps: 5, stepsRetried: 0, workersLost: 0 });
  expect(eventsOf(events, "failed")).toEqual([]);
}, 240_000);
