// What a run does when something goes wrong after its last step, or always at the same place.
import { beforeEach, describe, expect, test } from "vitest";
import type { RunConfig } from "../../core/model/config.ts";
import { roundsStrategy } from "../fixtures/configs.ts";
import { addWorkers, makeRun, of, orders, reset, saved, workers } from "./fake-run.ts";

beforeEach(reset);

describe("a worker that is lost after the last step", () => {
  test.each(["validate", "sample", "save"] as const)(
    "while all %s: the run ends with its model",
    async (at) => {
      const run = makeRun({ steps: 4 });
      let lost = false;
      addWorkers(run, ["a-1", "b-1"], (order, answer) => {
        if (order.type !== at || lost) return answer;
        lost = true;
        workers.delete("b-1");
        run.lose("b-1", "closed its page");
        return answer;
      });
      await run.drive();
      expect(of("recovered")).toMatchObject([{ step: 4 }]);
      expect(of("step").map(({ step }) => step)).toEqual([1, 2, 3, 4]);
      expect(of("valid").map(({ step }) => step)).toEqual([4]);
      expect(of("sample").map(({ step }) => step)).toEqual([4]);
      expect(saved.map(({ step }) => step)).toEqual([4]);
      expect(of("done")).toMatchObject([
        { steps: 4, validLoss: 3, checkpoint: "run-1-step-4", workersLost: 1 },
      ]);
      expect(orders("a-1", "release")).not.toEqual([]);
      expect(workers.get("a-1")!.orders.at(-1)!.type).toBe("release");
    },
  );
});

describe("what fails each time", () => {
  const rounds = roundsStrategy({ inner: 2, fragments: 1 });
  test.each<{ name: string; at: "merge" | "validate"; changes: Partial<RunConfig> }>([
    { name: "a validation in sync", at: "validate", changes: { checkpointEvery: 2, validEvery: 3 } },
    { name: "a merge in rounds", at: "merge", changes: { strategy: rounds } },
  ])("$name: the run ends at the third time", async ({ at, changes }) => {
    const run = makeRun({ steps: 20, ...changes });
    addWorkers(run, ["a-1", "b-1"], (order, answer) =>
      order.type === at
        ? { type: "failed", generation: order.generation, message: "no memory", fatal: false }
        : answer,
    );
    await run.drive();
    expect(of("plan")).toHaveLength(3);
    expect(of("failed")[0]!.message).toMatch(/^3 generations in a row got no further; .*: no memory$/);
  });

  test.each([{ strategy: rounds }, {}])(
    "a checkpoint: the run is trained to its end, and ends when its last is tried for the third time",
    async (changes) => {
      const run = makeRun({ steps: 6, checkpointEvery: 2, ...changes });
      addWorkers(run, ["a-1", "b-1"], (order, answer) =>
        order.type === "save" ? { ...order, type: "unsaved", reason: "the disk is full" } : answer,
      );
      await run.drive();
      expect(of("plan")).toHaveLength(1);
      expect(of("unsaved").map(({ step }) => step)).toEqual([2, 4, 6, 6, 6]);
      expect(of("step").map(({ step }) => step)).toEqual([1, 2, 3, 4, 5, 6]);
      expect(of("failed")[0]!.message).toMatch(
        /^the last checkpoint could not be saved: .*: the disk is full$/,
      );
    },
  );

  test("but a failure at another step each time is none", async () => {
    const run = makeRun({ steps: 12, checkpointEvery: 3, strategy: rounds });
    const failed = new Set<number>();
    addWorkers(run, ["a-1", "b-1"], (order, answer) => {
      if (order.type !== "step" || order.step % 2 === 0 || failed.has(order.step)) return answer;
      failed.add(order.step);
      return { type: "failed", generation: order.generation, message: "the link broke", fatal: false };
    });
    await run.drive();
    expect(failed.size).toBe(6);
    expect(of("done")).toHaveLength(1);
  });
});
