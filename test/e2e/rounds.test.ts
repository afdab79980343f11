// Strategy `rounds` over real links: sites that exchange seldom, and one that goes.
import { expect, test } from "vitest";
import { parameterSpace } from "../../core/model/parameters.ts";
import { roundsStrategy, tinyConfig } from "../fixtures/configs.ts";
import { sharedCluster } from "./cluster.ts";
import { eventsOf } from "./command.ts";
import { runLosingSite } from "./losing-a-site.ts";

const cluster = sharedCluster();
const strategy = roundsStrategy({ inner: 8, fragments: 2, overlap: 1, bits: 4 });

test("a pipeline and a single worker, tied embeddings: the loss falls, and little is sent between sites", async () => {
  const config = tinyConfig({
    model: { ...tinyConfig().model, tied: true },
    steps: 32,
    stages: 2,
    validEvery: 16,
    strategy,
  });
  const events = await cluster.run(config, ["a-1", "a-2", "b-1"]);
  const done = eventsOf(events, "done")[0]!;
  expect(eventsOf(events, "step").map(({ step }) => step)).toEqual(
    Array.from({ length: 32 }, (_, i) => i + 1),
  );
  expect(eventsOf(events, "repaired")).toEqual([]);
  expect(done.loss).toBeLessThan(4.6);
  expect(done.validLoss).toBeLessThan(4.6);
  // Eight times fewer bits, eight times more seldom; tensors this small have headers as large, and the last is in int8.
  const everyStepInF32 = config.steps * 2 * 4 * parameterSpace(config.model).size;
  expect(everyStepInF32 / done.wideBytes).toBeGreaterThan(20);
  expect(Object.keys(done.byWorker).sort()).toEqual(["a-1", "a-2", "b-1"]);
  expect(done.overlapped).toBeGreaterThanOrEqual(0);
});

test("a site that is killed between two exchanges: the other goes on from the checkpoint, alone", async () => {
  const events = await runLosingSite(tinyConfig({ steps: 24, checkpointEvery: 5, strategy }), 11);
  expect(eventsOf(events, "failed")).toEqual([]);
  const [recovered] = eventsOf(events, "recovered");
  const checkpoints = eventsOf(events.slice(0, events.indexOf(recovered!)), "checkpoint");
  expect(recovered).toMatchObject({ step: checkpoints.at(-1)!.step, generation: 2 });
  expect(eventsOf(events, "done")[0]).toMatchObject({ steps: 24, workersLost: 1 });
});
