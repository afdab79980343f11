// Checkpoints that are saved beside the training: whatever comes in between, a manifest names the shards of one step.
import fc from "fast-check";
import { beforeEach, describe, expect, test } from "vitest";
import type { RunConfig } from "../../core/model/config.ts";
import type { ClientMessage, WorkerMessage } from "../../core/protocol/control.ts";
import type { RunEvent } from "../../core/protocol/events.ts";
import type { Checkpoint } from "../../server/checkpoints.ts";
import { Cohort, WorkerGone } from "../../server/cohort.ts";
import { Saves } from "../../server/saves.ts";
import { tinyConfig } from "../fixtures/configs.ts";
import { addWorkers, events, makeRun, of, orders, paused, reset, saved, workers } from "./fake-run.ts";
import { fakeWorker, HASH } from "./fake-workers.ts";

const turns = () => new Promise((resolve) => setImmediate(resolve));

describe("however saves, losses and generations interleave", () => {
  const WORKERS = ["a-1", "a-2", "b-1"];
  const mostly = fc.integer({ min: 0, max: 5 }).map((n) => n > 0);
  const anyWorker = fc.constantFrom(...WORKERS);
  const anyEvent = fc.oneof(
    {
      weight: 2,
      arbitrary: fc.record({ what: fc.constant("step" as const), savers: fc.integer({ min: 1, max: 3 }) }),
    },
    {
      weight: 10,
      arbitrary: fc.record({ what: fc.constant("answer" as const), worker: anyWorker, saved: mostly }),
    },
    // Of another step or generation, or of one who was not asked.
    fc.record({
      what: fc.constant("stale" as const),
      worker: anyWorker,
      back: fc.integer({ min: 0, max: 2 }),
    }),
    fc.record({ what: fc.constant("lose" as const), worker: anyWorker }),
    fc.constant({ what: "generation" as const }),
    fc.record({ what: fc.constant("disk" as const), works: mostly }),
  );
  const hashOf = (worker: string, generation: number, step: number) => `${worker} ${generation} ${step}`;

  /** Saves, with workers and a disk that do what the test says. */
  function bench() {
    const log: RunEvent[] = [];
    const stored: Checkpoint[] = [];
    const told: { worker: string; order: WorkerMessage }[] = [];
    let writing: { checkpoint: Checkpoint; end: () => void; fail: (error: Error) => void } | null = null;
    const saves = new Saves({
      id: "run-1",
      config: tinyConfig(),
      corpus: { source: { hash: HASH, bytesPerToken: 1, count: 2, validFrom: 1 }, tokenizerHash: null },
      checkpoints: {
        keepLatest: async () => {},
        save: (checkpoint) =>
          new Promise<void>((resolve, fail) => {
            expect(writing, "two manifests at a time").toBeNull();
            writing = { checkpoint, end: resolve, fail };
          }),
      },
      start: null,
      emit: (event) => log.push(event),
      onStored: () => {},
    });
    /** The manifest being written, if any, is. */
    const disk = async (works: boolean) => {
      const now = writing;
      writing = null;
      if (works && now) stored.push(now.checkpoint);
      if (works) now?.end();
      else now?.fail(new Error("the disk is full"));
      await turns();
    };
    const port = (id: string) => ({
      ...fakeWorker(id, () => {}).port,
      send: (order: WorkerMessage) => void told.push({ worker: id, order }),
    });
    return { saves, log, stored, told, disk, port };
  }

  test("each step's checkpoint has all of each site that saved all, one at a time; its end is told once", async () => {
    let [whole, partial, none] = [0, 0, 0];
    await fc.assert(
      fc.asyncProperty(fc.array(anyEvent, { minLength: 5, maxLength: 60 }), async (course) => {
        const { saves, log, stored, told, disk, port } = bench();
        let [generation, step] = [1, 0];
        let cohort = new Cohort(generation, WORKERS.map(port));
        const savers = new Map<number, { generation: number; workers: string[] }>();
        /** Sites of which a part is missing, by step. */
        const failed = new Map<number, Set<string>>();
        const siteOf = (worker: string) => worker.split("-")[0]!;
        /** Orders that a worker has neither answered nor was told to forget. */
        const open = new Map<string, { generation: number; step: number }>();
        const listen = () => {
          for (const { worker, order } of told.splice(0)) {
            if (order.type === "discard") {
              expect(open.get(worker)).toMatchObject({ generation: order.generation, step: order.step });
              open.delete(worker);
            } else if (order.type === "save") {
              expect(open.has(worker), "a second save before the first has ended").toBe(false);
              open.set(worker, { generation: order.generation, step: order.step });
            }
          }
        };
        const answer = (
          worker: string,
          { generation, step }: { generation: number; step: number },
          ok: boolean,
        ) => {
          const shard = { hash: hashOf(worker, generation, step), bytes: 1, tensors: [] };
          const message: Extract<ClientMessage, { type: "saved" | "unsaved" }> = ok
            ? { type: "saved", generation, step, shard }
            : { type: "unsaved", generation, step, reason: "no line" };
          saves.deliver(worker, message);
        };
        const lose = (worker: string) => {
          const order = open.get(worker);
          if (order) failed.get(order.step)!.add(siteOf(worker));
          open.delete(worker);
          saves.lose(worker, "left");
          cohort.lose(worker, new WorkerGone("left"));
        };
        for (const event of course) {
          if (event.what === "step") {
            step++;
            const of = WORKERS.slice(0, event.savers).filter((worker) => cohort.needs(worker));
            if (of.length === 0) continue;
            savers.set(step, { generation, workers: of });
            failed.set(step, new Set());
            saves.begin(step, cohort, { savers: of, tokens: { a: [step], b: [step] } });
          } else if (event.what === "answer") {
            const order = open.get(event.worker);
            open.delete(event.worker);
            if (order && !event.saved) failed.get(order.step)!.add(siteOf(event.worker));
            if (order) answer(event.worker, order, event.saved);
          } else if (event.what === "stale") {
            const order = open.get(event.worker) ?? { generation, step };
            answer(event.worker, { ...order, step: order.step - event.back - 1 }, true);
            answer(event.worker, { ...order, generation: order.generation - event.back - 1 }, true);
            if (!open.has(event.worker)) answer(event.worker, order, false);
          } else if (event.what === "lose") lose(event.worker);
          else if (event.what === "generation") cohort = new Cohort(++generation, WORKERS.map(port));
          else await disk(event.works);
          listen();
        }
        // In the end all leave, and the disk works.
        for (const worker of WORKERS) {
          lose(worker);
          listen();
        }
        await disk(true);
        await saves.settled();
        expect(open.size).toBe(0);
        const ends = log.map((event) => "step" in event && event.step);
        expect([...ends].sort()).toEqual([...savers.keys()].sort());
        for (const checkpoint of stored) {
          const { step } = checkpoint;
          const { generation, workers } = savers.get(step)!;
          const there = workers.filter((worker) => !failed.get(step)!.has(siteOf(worker)));
          expect(there.length).toBeGreaterThan(0);
          expect(checkpoint.shards.map(({ hash }) => hash)).toEqual(
            there.map((worker) => hashOf(worker, generation, step)),
          );
          const sites = new Set(there.map(siteOf));
          expect(Object.keys(checkpoint.tokens!)).toEqual([...sites]);
          const said = log.find((event) => event.event === "checkpoint" && event.step === step);
          const missing = [...failed.get(step)!].map((site) => expect.stringContaining(`site ${site} has`));
          expect(said).toEqual({
            event: "checkpoint",
            step,
            checkpoint: checkpoint.id,
            ...(missing.length > 0 && { without: missing }),
          });
          if (missing.length > 0) partial++;
        }
        const checkpoints = log.flatMap((event) => (event.event === "checkpoint" ? [event.step] : []));
        expect(checkpoints).toEqual(stored.map(({ step }) => step));
        expect(checkpoints).toEqual([...checkpoints].sort((a, b) => a - b));
        expect(saves.latest).toEqual(stored.at(-1) ?? null);
        whole += checkpoints.length;
        none += log.length - checkpoints.length;
      }),
      { numRuns: 500, seed: 1 },
    );
    for (const count of [whole - partial, partial, none]) expect(count).toBeGreaterThan(50);
  });
});

describe("a run", () => {
  beforeEach(reset);

  /**
   * A run whose workers upload until the test says that they are done: `uploads`, by worker. `acts`: what happens when
   * a step is told for the first time.
   */
  function uploading(changes: Partial<RunConfig>, ids: string[], acts: Record<number, () => void> = {}) {
    const run = makeRun({ checkpointEvery: 2, ...changes });
    const uploads = new Map<string, () => void>();
    for (const id of ids) {
      addWorkers(run, [id], (order, answer) => {
        if (order.type === "save") {
          uploads.set(id, () => run.deliver(id, answer));
          return null;
        }
        if (order.type === "discard") uploads.delete(id);
        const act = order.type === "step" && acts[order.step];
        if (act) {
          delete acts[order.step];
          act();
        }
        return answer;
      });
    }
    const finish = (id: string) => {
      const end = uploads.get(id)!;
      uploads.delete(id);
      end();
    };
    const lose = (id: string) => {
      workers.delete(id);
      run.lose(id, "closed its page");
    };
    return { run, uploads, finish, lose };
  }

  /** Goes on once the run waits for an upload and nothing else. */
  async function whenQuiet(): Promise<void> {
    for (let told = -1; told !== toldSoFar(); await turns(), await turns(), await turns()) told = toldSoFar();
  }
  const toldSoFar = () => [...workers.values()].reduce((sum, { orders }) => sum + orders.length, 0);
  const stepsAndCheckpoints = () =>
    events.flatMap((event): (number | string)[] =>
      event.event === "step" ? [event.step] : event.event === "checkpoint" ? [event.checkpoint] : [],
    );

  test("goes on while a checkpoint is on its way, leaves out one that is due meanwhile, and waits for the last", async () => {
    const { run, uploads, finish } = uploading({ steps: 6 }, ["a-1", "b-1"], {
      5: () => finish("a-1"),
    });
    const driving = run.drive();
    await whenQuiet();
    // Step 5 was told when step 4 was committed, and its event may come after.
    expect(stepsAndCheckpoints().filter((one) => one !== 4)).toEqual([1, 2, 3, "run-1-step-2", 5, 6]);
    expect(of("unsaved")).toEqual([
      {
        event: "unsaved",
        step: 4,
        reason: "that of step 2 is still on its way: a larger checkpointEvery helps",
      },
    ]);
    expect(of("done")).toEqual([]);
    expect([...uploads.keys()]).toEqual(["a-1"]);
    expect(orders("a-1", "save").map((order) => "step" in order && order.step)).toEqual([2, 6]);
    finish("a-1");
    await driving;
    expect(of("done")[0]).toMatchObject({ steps: 6, checkpoint: "run-1-step-6" });
  });

  test("one who has no part in the upload is lost: the checkpoint outlives the generation", async () => {
    const { run, finish, lose } = uploading({ steps: 5, checkpointEvery: 3 }, ["a-1", "b-1"], {
      4: () => lose("b-1"),
      5: () => finish("a-1"),
    });
    const driving = run.drive();
    await whenQuiet();
    expect(saved).toMatchObject([{ step: 3 }]);
    expect(of("plan")).toHaveLength(2);
    expect(of("recovered")).toMatchObject([{ step: 3 }]);
    finish("a-1");
    await driving;
    expect(of("unsaved")).toEqual([]);
    expect(of("done")[0]).toMatchObject({ steps: 5, checkpoint: "run-1-step-5", workersLost: 1 });
  });

  test("one who uploads is lost: the others drop theirs, and the run goes back to the checkpoint before", async () => {
    const { run, uploads, finish, lose } = uploading(
      { steps: 8, checkpointEvery: 2, stages: 2 },
      ["a-1", "a-2"],
      {
        3: () => ["a-1", "a-2"].forEach(finish),
        5: () => {
          finish("a-1");
          lose("a-2");
        },
      },
    );
    const driving = run.drive();
    const finished = driving.then(() => true);
    while (!(await Promise.race([finished, turns().then(() => false)]))) {
      if (of("recovered").length > 0 && uploads.has("a-1")) finish("a-1");
    }
    expect(of("unsaved")).toEqual([{ event: "unsaved", step: 4, reason: "worker a-2 closed its page" }]);
    expect(of("recovered")).toMatchObject([{ step: 2 }]);
    expect(saved.map(({ step, shards }) => [step, shards.length])).toEqual([
      [2, 2],
      [4, 1],
      [6, 1],
      [8, 1],
    ]);
    expect(of("done")).toHaveLength(1);
  });

  test("has to go back while one is on its way: it waits for that, and goes back no further", async () => {
    const { run, finish, lose } = uploading({ steps: 8, checkpointEvery: 3, stages: 2 }, ["a-1", "a-2"], {
      5: () => {
        finish("a-2");
        lose("a-2");
      },
    });
    const driving = run.drive();
    await whenQuiet();
    expect(of("recovered")).toEqual([]);
    expect(orders("a-1", "release")).toHaveLength(1);
    finish("a-1");
    await whenQuiet();
    expect(of("recovered")).toMatchObject([{ step: 3 }]);
    expect(orders("a-1", "assign").at(-1)).toMatchObject({ state: { kind: "checkpoint", step: 3 } });
    finish("a-1");
    await whenQuiet();
    finish("a-1");
    await driving;
    expect(of("done")[0]).toMatchObject({ steps: 8, checkpoint: "run-1-step-8" });
  });

  test("changes its plan while one is on its way: the shards of the plan before make it up", async () => {
    const { run, finish } = uploading({ steps: 5, checkpointEvery: 3, stages: 2 }, ["a-1", "a-2"], {
      4: () => {
        addWorkers(run, ["a-3"]);
        paused.add("a-1");
        run.reconsider("members");
      },
      5: () => ["a-1", "a-2"].forEach(finish),
    });
    const driving = run.drive();
    await whenQuiet();
    expect(of("plan")).toHaveLength(2);
    expect(saved).toMatchObject([{ step: 3 }]);
    expect(saved[0]!.shards).toHaveLength(2);
    finish("a-2");
    await driving;
    expect(of("unsaved")).toEqual([]);
    expect(of("done")[0]).toMatchObject({ steps: 5, checkpoint: "run-1-step-5", stepsRetried: 0 });
  });

  test("that is stopped waits for the one on its way, and saves what it has come to", async () => {
    const { run, finish } = uploading({ steps: 50, checkpointEvery: 3 }, ["a-1"], { 5: () => run.stop() });
    const driving = run.drive();
    await whenQuiet();
    expect(run.status).toBe("training");
    finish("a-1");
    await whenQuiet();
    expect(saved).toMatchObject([{ step: 3 }]);
    expect(run.status).toBe("training");
    finish("a-1");
    await driving;
    expect(saved).toMatchObject([{ step: 3 }, { step: 5 }]);
    expect(run.status).toBe("stopped");
  });

  test("that is paused is at rest once the one on its way is there, or will not be", async () => {
    for (const end of ["finish", "lose"] as const) {
      reset();
      const { run, finish, lose } = uploading(
        { steps: 4, checkpointEvery: 2, stages: 2 },
        ["a-1", "a-2", "a-3"],
        {
          3: () => run.setPaused(true),
        },
      );
      const driving = run.drive();
      await whenQuiet();
      expect(run.status).toBe("training");
      finish("a-1");
      if (end === "finish") finish("a-2");
      else lose("a-2");
      await whenQuiet();
      expect(run.status).toBe("paused");
      expect(run.checkpoint?.step).toBe(end === "finish" ? 2 : undefined);
      run.stop();
      await whenQuiet();
      for (const id of orders("a-3", "save").length > 0 ? ["a-1", "a-3"] : ["a-1", "a-2"]) finish(id);
      await driving;
      expect(run.status).toBe("stopped");
    }
  });

  test("that fails ends once the one on its way is there to go on from", async () => {
    const { run, finish } = uploading({ steps: 9, checkpointEvery: 2 }, ["a-1"]);
    addWorkers(run, ["b-1"], (order, answer) =>
      answer.type === "ready" && order.type === "step" && order.step === 3
        ? { ...answer, lossSum: null }
        : answer,
    );
    const driving = run.drive();
    await whenQuiet();
    expect(of("failed")).toEqual([]);
    finish("a-1");
    await driving;
    expect(events.slice(-2)).toMatchObject([{ event: "checkpoint", step: 2 }, { event: "failed" }]);
  });
});
