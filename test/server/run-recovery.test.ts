// Runs that lose workers, or whose workers fail: what they go on from, and when they give up.
import { expect, test } from "vitest";
import type { RunConfig } from "../../core/model/config.ts";
import { parameterSpace } from "../../core/model/parameters.ts";
import { tinyConfig } from "../fixtures/configs.ts";
import { addWorkers, makeRun, of, orders, paused, workers } from "./fake-run.ts";

test("a loss that is not finite ends the run before the optimizer", async () => {
  const run = makeRun();
  addWorkers(run, ["a-1"], (order, answer) =>
    answer.type === "ready" && order.type === "step" && order.step === 3
      ? { ...answer, lossSum: null }
      : answer,
  );
  await run.drive();
  expect(run.status).toBe("failed");
  expect(orders("a-1", "commit")).toHaveLength(2);
  expect(of("failed")[0]!.message).toMatch(/step 3: the loss is not finite; .*Lower optimizer.lr/);
  expect(workers.get("a-1")!.orders.at(-1)!.type).toBe("release");
});

/** A run of which the last of `ids` goes in step 4. */
async function losing(ids: string[], changes: Partial<RunConfig> = {}): Promise<void> {
  const run = makeRun({ checkpointEvery: 2, ...changes });
  const gone = ids.at(-1)!;
  let lost = false;
  addWorkers(run, ids, (order, answer) => {
    if (lost || order.type !== "step" || order.step !== 4) return answer;
    lost = true;
    workers.delete(gone);
    run.lose(gone, "closed its page");
    return answer;
  });
  await run.drive();
  expect(run.status).toBe("done");
}
const states = (id: string) => orders(id, "assign").map((order) => order.type === "assign" && order.state);

test("a lost worker whose state a replica has: that goes on with the step", async () => {
  await losing(["a-1", "b-1"]);
  expect(of("recovered")).toEqual([
    { event: "recovered", step: 3, generation: 2, reason: "worker b-1 closed its page" },
  ]);
  expect(of("step").map(({ step }) => step)).toEqual([1, 2, 3, 4, 5, 6]);
  expect(of("done")[0]).toMatchObject({ steps: 6, stepsRetried: 1, workersLost: 1 });
  expect(orders("a-1", "hold")).toEqual([{ type: "hold", generation: 1, of: 1, interrupts: true }]);
  const { size } = parameterSpace(tinyConfig().model);
  expect(states("a-1")).toEqual([
    { kind: "seed" },
    { kind: "workers", step: 3, takes: [{ what: "trained", from: "a-1", start: 0, end: size }] },
  ]);
});

test.each([
  { name: "no other has its state", ids: ["a-1", "a-2"], changes: { stages: 2 } },
  {
    name: "replicas are not alike",
    ids: ["a-1", "b-1"],
    changes: { strategy: { kind: "sync", gradients: "int4" } as const },
  },
])("a lost worker: on from the latest checkpoint, where $name", async ({ ids, changes }) => {
  await losing(ids, changes);
  expect(of("recovered")).toMatchObject([{ step: 2, generation: 2 }]);
  expect(of("step").map(({ step }) => step)).toEqual([1, 2, 3, 3, 4, 5, 6]);
  expect(of("done")[0]).toMatchObject({ steps: 6, stepsRetried: 2, workersLost: 1 });
  expect(states("a-1")).toMatchObject([{ kind: "seed" }, { kind: "checkpoint", step: 2, optimizer: true }]);
});

test("workers that leave one after the other before a step can be done are no reason to give up, nor to go back", async () => {
  const run = makeRun({ checkpointEvery: 2, batch: 8, microbatch: 1, stages: 1 });
  const ids = ["a-1", "b-1", "c-1", "d-1", "e-1", "f-1"];
  const leave = (gone: string) => {
    workers.delete(gone);
    run.lose(gone, "closed its page");
  };
  addWorkers(run, ids, (order, answer) => {
    if (order.type === "step" && order.step === 4 && order.generation === 1 && workers.has("f-1")) {
      leave("f-1");
    } else if (order.type === "assign" && order.generation > 1) {
      const last = [...workers.keys()].at(-1)!;
      if (last !== "a-1") leave(last);
    }
    return answer;
  });
  await run.drive();
  expect(of("failed")).toEqual([]);
  expect(new Set(of("recovered").map(({ step }) => step))).toEqual(new Set([3]));
  expect(of("step").map(({ step }) => step)).toEqual([1, 2, 3, 4, 5, 6]);
  expect(of("done")[0]).toMatchObject({ workersLost: 5 });
});

test("who gives its state and is lost before all have taken theirs: the others go on from the checkpoint", async () => {
  const run = makeRun({ checkpointEvery: 2, stages: 2 });
  addWorkers(run, ["a-1"], (order, answer) => {
    if (order.type === "step" && order.step === 3) {
      paused.add("a-2");
      run.reconsider("members");
    }
    // Waits for a-2.
    return order.type === "assign" && order.generation === 2 ? null : answer;
  });
  addWorkers(run, ["a-2"], (order, answer) => {
    if (order.type === "lend") run.lose("a-2", "closed its page");
    return answer;
  });
  await run.drive();
  expect(states("a-1").map((state) => state && state.kind)).toEqual(["seed", "workers", "checkpoint"]);
  expect(of("recovered")).toMatchObject([{ step: 2, generation: 3 }]);
  expect(of("step").map(({ step }) => step)).toEqual([1, 2, 3, 3, 4, 5, 6]);
  expect(of("done")[0]).toMatchObject({ stepsRetried: 1, workersLost: 1 });
});

test("states that cannot be moved are tried once more; then all go on from the checkpoint", async () => {
  const run = makeRun({ checkpointEvery: 2 });
  addWorkers(run, ["a-1"], (order, answer) => {
    if (order.type === "step" && order.step === 3 && order.generation === 1) {
      addWorkers(run, ["b-1"], (order, answer) =>
        order.type === "assign" && order.state.kind === "workers"
          ? { type: "failed", generation: order.generation, message: "a-1 is silent", fatal: false }
          : answer,
      );
      run.reconsider("members");
    }
    return answer;
  });
  await run.drive();
  expect(states("b-1").map((state) => state && state.kind)).toEqual(["workers", "workers", "checkpoint"]);
  expect(orders("a-1", "hold")).toMatchObject([{ of: 1 }, { generation: 2, of: 1, interrupts: true }]);
  expect(of("recovered").map(({ step }) => step)).toEqual([3, 2]);
  expect(of("done")[0]).toMatchObject({ steps: 6, stepsRetried: 1, workersLost: 0 });
});

test("a worker that has kept nothing when a state was asked of it is as good as lost", async () => {
  const run = makeRun({ checkpointEvery: 2, stages: 2 });
  addWorkers(run, ["a-1"], (order, answer) => {
    if (order.type === "step" && order.step === 3 && order.generation === 1) {
      addWorkers(run, ["a-3"]);
      paused.add("a-2");
      run.reconsider("members");
    }
    return answer;
  });
  addWorkers(run, ["a-2"], (_, answer) => (answer.type === "held" ? { ...answer, kept: false } : answer));
  await run.drive();
  expect(of("recovered")).toMatchObject([{ step: 2, generation: 2 }]);
  expect(of("done")[0]).toMatchObject({ steps: 6, workersLost: 0 });
});

test("a worker whose GPU is too small ends the run with its words", async () => {
  const run = makeRun();
  addWorkers(run, ["a-1"], (order, answer) =>
    order.type === "assign"
      ? { type: "failed", generation: order.generation, message: "needs 2 GiB, has 1 GiB", fatal: true }
      : answer,
  );
  await run.drive();
  expect(of("failed")[0]).toMatchObject({
    message: "worker a-1: needs 2 GiB, has 1 GiB",
    cause: "configuration",
  });
});

test("links that never come up end the run after three tries, not never", async () => {
  const run = makeRun();
  addWorkers(run, ["a-1"], (order, answer) =>
    order.type === "assign"
      ? { type: "failed", generation: order.generation, message: "no link to b-1", fatal: false }
      : answer,
  );
  await run.drive();
  expect(orders("a-1", "assign")).toHaveLength(3);
  expect(of("failed")[0]).toMatchObject({
    message: "3 generations in a row got no further; the last: worker a-1: no link to b-1",
    cause: "failure",
  });
});

test("answers of an old generation or another step change nothing", async () => {
  const run = makeRun({ steps: 2 });
  addWorkers(run, ["a-1"], (order, answer) => {
    if (order.type === "step") {
      run.deliver("a-1", { ...answer, generation: 0 } as typeof answer);
      run.deliver("a-1", { ...answer, step: order.step + 1 } as typeof answer);
    }
    return answer;
  });
  await run.drive();
  expect(of("step").map(({ step }) => step)).toEqual([1, 2]);
});
