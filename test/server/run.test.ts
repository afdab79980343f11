import { beforeEach, describe, expect, test } from "vitest";
import type { RunConfig } from "../../core/model/config.ts";
import { parameterSpace } from "../../core/model/parameters.ts";
import type { Checkpoint } from "../../server/checkpoints.ts";
import { tinyConfig } from "../fixtures/configs.ts";
import { fakeWorker } from "./fake-workers.ts";
import {
  addWorkers,
  makeRun,
  of,
  orders,
  paused,
  reset,
  saved,
  speedOf,
  speeds,
  workers,
} from "./fake-run.ts";

beforeEach(reset);

describe("a run without trouble", () => {
  test("commits each step once, does what is due, and adds everything up", async () => {
    const run = makeRun({ checkpointEvery: 3, validEvery: 4, sampleEvery: 5 });
    addWorkers(run, ["a-1", "a-2", "b-1"]);
    speeds.set("a-1", speedOf(2e9));
    await run.drive();
    expect(run.status).toBe("done");
    for (const id of workers.keys()) {
      expect(orders(id, "commit").map((order) => "step" in order && order.step)).toEqual([1, 2, 3, 4, 5, 6]);
    }
    expect(of("plan")).toMatchObject([{ generation: 1, speeds: { "a-1": speedOf(2e9) } }]);
    expect(of("step").map(({ step, loss }) => [step, loss])).toEqual(
      [1, 2, 3, 4, 5, 6].map((step) => [step, 2]),
    );
    expect(of("valid").map(({ step, loss }) => [step, loss])).toEqual([
      [4, 3],
      [6, 3],
    ]);
    expect(of("sample").map(({ step, text }) => [step, text])).toEqual([
      [5, "OhHi"],
      [6, "OhHi"],
    ]);
    expect(saved.map(({ step }) => step)).toEqual([3, 6]);
    expect(of("done")[0]).toMatchObject({
      steps: 6,
      loss: 2,
      validLoss: 3,
      siteBytes: 300,
      wideBytes: 30,
      stepsRetried: 0,
      workersLost: 0,
      checkpoint: "run-1-step-6",
    });
  });

  test("the commit divides by all tokens and clips by the norm of one replica", async () => {
    const run = makeRun({ steps: 1 });
    addWorkers(run, ["a-1", "b-1"]);
    await run.drive();
    // Squared norm 4 of a gradient summed over 128 tokens: norm of the mean 2 / 128, below the clip of 1.
    expect(of("step")[0]).toMatchObject({ tokens: 128, gradNorm: 2 / 128 });
    expect(orders("b-1", "commit")[0]).toMatchObject({ scale: 1 / 128 });
    const clipped = makeRun({ steps: 1, optimizer: { ...tinyConfig().optimizer, clip: 1 / 128 } });
    workers.clear();
    addWorkers(clipped, ["a-1", "b-1"]);
    await clipped.drive();
    expect(orders("a-1", "commit")[0]).toMatchObject({ scale: 0.5 / 128 });
  });
});

describe("trouble", () => {
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
});

describe("wishes", () => {
  test("stop saves what there is and releases the workers", async () => {
    const run = makeRun({ steps: 100 });
    addWorkers(run, ["a-1"], (order, answer) => {
      if (order.type === "step" && order.step === 4) run.stop();
      return answer;
    });
    await run.drive();
    expect(run.status).toBe("stopped");
    expect(saved.map(({ step }) => step)).toEqual([4]);
    expect(of("stopped")).toEqual([{ event: "stopped", step: 4 }]);
    expect(workers.get("a-1")!.orders.at(-1)!.type).toBe("release");
  });

  test("replan: workers keep their states, and the next generation takes them and goes on at the next step", async () => {
    const run = makeRun({ steps: 5 });
    addWorkers(run, ["a-1"], (order, answer) => {
      if (order.type === "step" && order.step === 2 && order.generation === 1) {
        addWorkers(run, ["b-1"]);
        run.reconsider("members");
      }
      return answer;
    });
    await run.drive();
    expect(of("step").map(({ step }) => step)).toEqual([1, 2, 3, 4, 5]);
    expect(of("done")[0]).toMatchObject({ stepsRetried: 0 });
    expect(orders("b-1", "commit")).toHaveLength(3);
    expect(saved.map(({ step }) => step)).toEqual([5]);
    const { size } = parameterSpace(tinyConfig().model);
    for (const id of workers.keys()) {
      expect(orders(id, "assign").at(-1)).toMatchObject({
        generation: 2,
        state: { kind: "workers", step: 2, takes: [{ what: "trained", from: "a-1", start: 0, end: size }] },
        links: [],
      });
    }
  });

  test("a worker that is to sit out lends its state until all have taken theirs, and is released then", async () => {
    const run = makeRun({ steps: 5, stages: 2 });
    addWorkers(run, ["a-1", "a-2"], (order, answer) => {
      if (order.type === "step" && order.step === 2) {
        paused.add("a-1");
        run.reconsider("members");
      }
      return answer;
    });
    await run.drive();
    const link = { initiator: "a-1", other: "a-2", kind: "site" };
    expect(workers.get("a-1")!.orders.slice(-3)).toEqual([
      { type: "hold", generation: 1, of: 1, interrupts: false },
      { type: "lend", generation: 2, links: [link] },
      { type: "release", generation: 2, reason: "its state has moved" },
    ]);
    expect(orders("a-2", "assign").at(-1)).toMatchObject({
      links: [link],
      state: { kind: "workers", step: 2, takes: [{ from: "a-1" }, { from: "a-2" }] },
    });
    expect(of("step").map(({ step }) => step)).toEqual([1, 2, 3, 4, 5]);
    expect(of("done")[0]).toMatchObject({ stepsRetried: 0, workersLost: 0 });
  });

  test("stop while states are kept: they are taken once more, and saved", async () => {
    const run = makeRun({ steps: 100 });
    addWorkers(run, ["a-1"], (order, answer) => {
      if (order.type === "step" && order.step === 2) {
        addWorkers(run, ["b-1"]);
        run.reconsider("members");
      } else if (order.type === "hold") run.stop();
      return answer;
    });
    await run.drive();
    expect(saved.map(({ step }) => step)).toEqual([2]);
    expect(of("stopped")).toEqual([{ event: "stopped", step: 2 }]);
    for (const { orders } of workers.values()) expect(orders.at(-1)!.type).toBe("release");
  });

  test("while a generation is released, a broken link or a worker that goes without a word is no loss", async () => {
    const run = makeRun({ steps: 3 });
    addWorkers(run, ["a-1", "b-1"], (order, answer) => {
      if (order.type === "step" && order.step === 2) {
        for (const id of ["b-1", "c-1"]) paused.add(id);
        run.reconsider("members");
      }
      return answer;
    });
    addWorkers(run, ["c-1"], (order, answer) => {
      if (order.type !== "release") return answer;
      workers.delete("c-1");
      const { generation } = order;
      setTimeout(() =>
        run.deliver("c-1", { type: "failed", generation, message: "link to a-1", fatal: false }),
      );
      setTimeout(() => run.lose("c-1", "left"), 1);
      return null;
    });
    await run.drive();
    expect(of("recovered")).toEqual([]);
    expect(of("done")[0]).toMatchObject({ steps: 3, stepsRetried: 0, workersLost: 0 });
  });

  test("no replan when it would come to the same plan", async () => {
    const run = makeRun({ steps: 5, stages: 2 });
    addWorkers(run, ["a-1", "a-2"], (order, answer) => {
      if (order.type === "step" && order.step === 2) {
        addWorkers(run, ["a-3"]);
        run.reconsider("members");
      }
      return answer;
    });
    await run.drive();
    expect(of("plan")).toHaveLength(1);
  });

  test("a worker that becomes much slower is given less, without losing a step", async () => {
    const run = makeRun({ steps: 8, batch: 16, microbatch: 1, stages: 1 });
    addWorkers(run, ["a-1", "b-1"], (order, answer) => {
      if (order.type === "step" && order.step === 3) speeds.set("b-1", speedOf(0.25e6));
      return answer;
    });
    for (const id of workers.keys()) speeds.set(id, speedOf(1e6));
    await run.drive();
    const shares = of("plan").map(({ lines }) =>
      lines.flatMap((line) => /(\d+) of 16/.exec(line)?.[1] ?? []),
    );
    expect(shares).toEqual([
      ["8", "8"],
      ["13", "3"],
    ]);
    expect(of("step").map(({ step }) => step)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    expect(of("done")[0]).toMatchObject({ stepsRetried: 0, workersLost: 0 });
  });

  test("a worker that cannot hold what it was assigned is assigned less; where that is no plan, the run ends", async () => {
    const run = makeRun({ steps: 3, stages: "auto" });
    addWorkers(run, ["a-1", "b-1"], (order, answer) => {
      const { generation } = order;
      const isTooMuch = order.type === "assign" && order.plan.replicas.some(({ site }) => site === "b");
      return isTooMuch
        ? { type: "failed", generation, message: "no room: use more stages", fatal: true }
        : answer;
    });
    workers.set(
      "a-1",
      fakeWorker("a-1", (worker, answer) => run.deliver(worker, answer)),
    );
    for (const id of workers.keys()) speeds.set(id, speedOf(1e9));
    await run.drive();
    expect(of("plan")).toHaveLength(2);
    expect(workers.get("b-1")!.orders.filter(({ type }) => type === "assign")).toHaveLength(1);
    expect(of("done")).toHaveLength(1);
  });

  test("a newcomer that cannot hold what it was assigned: the states kept serve the plan without it", async () => {
    const run = makeRun({ steps: 4, stages: "auto" });
    speeds.set("a-1", speedOf(1e9)).set("b-1", speedOf(1e9));
    addWorkers(run, ["a-1"], (order, answer) => {
      if (order.type === "step" && order.step === 2 && order.generation === 1) {
        addWorkers(run, ["b-1"], ({ type, generation }, answer) =>
          type === "assign" ? { type: "failed", generation, message: "no room", fatal: true } : answer,
        );
        run.reconsider("members");
      }
      return answer;
    });
    await run.drive();
    expect(orders("a-1", "assign")).toMatchObject([
      { state: { kind: "seed" } },
      { state: { kind: "workers", step: 2 } },
      { state: { kind: "workers", step: 2 } },
    ]);
    expect(of("recovered")).toMatchObject([{ step: 2, generation: 3 }]);
    expect(workers.get("b-1")!.orders.at(-1)!.type).toBe("release");
    expect(of("step").map(({ step }) => step)).toEqual([1, 2, 3, 4]);
    expect(of("done")[0]).toMatchObject({ steps: 4, stepsRetried: 0 });
  });

  test("a worker that goes once it is released is not lost", async () => {
    const run = makeRun({ steps: 5 });
    addWorkers(run, ["a-1"], (order, answer) => {
      if (order.type === "step" && order.step === 2) {
        for (const id of ["b-1", "c-1"]) paused.add(id);
        run.reconsider("members");
      }
      return answer;
    });
    // c-1 takes its time to say its last word; b-1 has said its own, and goes meanwhile.
    addWorkers(run, ["c-1"], (_, answer) => {
      if (answer.type !== "released") return answer;
      setTimeout(() => setTimeout(() => run.deliver("c-1", answer)));
      return null;
    });
    addWorkers(run, ["b-1"], (_, answer) => {
      if (answer.type === "released") {
        workers.delete("b-1");
        setTimeout(() => run.lose("b-1", "left"), 0);
      }
      return answer;
    });
    const loser = workers.get("b-1")!;
    await run.drive();
    expect(loser.orders.at(-1)!.type).toBe("release");
    expect(of("recovered")).toEqual([]);
    expect(of("done")[0]).toMatchObject({ steps: 5, stepsRetried: 0, workersLost: 0 });
  });

  test("pause holds the run between two steps until it is resumed", async () => {
    const run = makeRun({ steps: 3 });
    addWorkers(run, ["a-1"], (order, answer) => {
      if (order.type === "step" && order.step === 1) run.setPaused(true);
      return answer;
    });
    const driving = run.drive();
    while (run.status !== "paused") await new Promise((resolve) => setTimeout(resolve, 1));
    expect(run.step).toBe(1);
    run.setPaused(false);
    await driving;
    expect(of("step").map(({ step }) => step)).toEqual([1, 2, 3]);
  });

  test("an init checkpoint gives the weights; the step count starts at 0", async () => {
    const start: Checkpoint = {
      id: "other-step-9",
      run: null,
      step: 9,
      model: tinyConfig().model,
      optimizer: false,
      shards: [],
      tokenizer: null,
    };
    const run = makeRun({ steps: 1 }, start);
    addWorkers(run, ["a-1"]);
    await run.drive();
    expect(orders("a-1", "assign")[0]).toMatchObject({ state: { kind: "checkpoint", optimizer: false } });
    expect(of("step").map(({ step }) => step)).toEqual([1]);
  });
});
