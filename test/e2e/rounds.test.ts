// Strategy `rounds` over real links: sites that exchange seldom, and one that goes.
import { describe, expect, test } from "vitest";
import { parameterSpace } from "../../core/model/parameters.ts";
import { roundsStrategy, tinyConfig } from "../fixtures/configs.ts";
import { sharedCluster } from "./cluster.ts";
import { eventsOf } from "./command.ts";
import { runLosing } from "./losing-a-site.ts";

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

describe("a worker is killed between two exchanges: the others go on from what they hold", () => {
  test.each([
    {
      name: "a site's only one",
      leaving: "b-1",
      words: /what site b has trained since its latest exchanges is lost/,
    },
    { name: "one that follows its site's lead replica", leaving: "a-2", words: /^worker a-2 [^;]*$/ },
    { name: "one that leads its site", leaving: "a-1", words: /left unsaid of site a's changes is lost/ },
  ])("$name", async ({ leaving, words }) => {
    const config = tinyConfig({ steps: 24, stages: 1, strategy });
    const events = await runLosing(config, { workers: ["a-1", "a-2", "b-1"], leaving, at: 11 });
    expect(eventsOf(events, "failed")).toEqual([]);
    expect(eventsOf(events, "recovered")).toMatchObject([
      { generation: 2, reason: expect.stringMatching(words) },
    ]);
    // Sites agree on what they exchange afterwards, and no step is done again but the one under way.
    expect(eventsOf(events, "repaired")).toEqual([]);
    expect(eventsOf(events, "step").map(({ step }) => step)).toEqual(
      Array.from({ length: 24 }, (_, i) => i + 1),
    );
    const [done] = eventsOf(events, "done");
    expect(done).toMatchObject({ steps: 24, workersLost: 1 });
    expect(done!.stepsRetried).toBeLessThanOrEqual(1);
  });
});
