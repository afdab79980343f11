// Workers that owe an answer and hang: told from those that are slow or wait for others, and left behind.
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { Doing } from "../../core/protocol/control.ts";
import { CHECK_MS, MOST_SILENT, MOST_STALLED, MOST_WAITING, Watchdog } from "../../server/watchdog.ts";
import { addWorkers, makeRun, of, workers } from "./fake-run.ts";
import { fakeWorker, type FakeWorker } from "./fake-workers.ts";

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
});
afterEach(() => {
  vi.useRealTimers();
});

/** Whatever is on its way has arrived, and what follows from it. */
async function turns(): Promise<void> {
  for (let i = 0; i < 100; i++) await new Promise(setImmediate);
}

async function checks(count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    vi.advanceTimersByTime(CHECK_MS);
    await turns();
  }
}

/**
 * A run of sites a and b that stands still: from step 3 on a worker does no order of type `hangs[its name]`, nor what is
 * `step`, as long as there are both.
 */
async function halted(hangs: Record<string, string>, doing: Record<string, FakeWorker["doing"]>) {
  const run = makeRun({ checkpointEvery: 3 });
  let isHalted = false;
  for (const id of ["a-1", "b-1"]) {
    addWorkers(run, [id], (order, answer) => {
      if (!workers.has("b-1")) return answer;
      isHalted ||= order.type === "step" && order.step === 3;
      return isHalted && order.type === hangs[id] ? null : answer;
    });
    workers.get(id)!.doing = doing[id]!;
  }
  const driven = run.drive();
  await turns();
  expect(of("done")).toEqual([]);
  return { run, driven };
}

describe("a worker that owes an answer", () => {
  test.each([
    { doing: "silent", most: MOST_SILENT, reason: "the page did not answer for 3 minutes" },
    { doing: "stalled", most: MOST_STALLED, reason: "the GPU finished nothing for 5 minutes" },
  ] as const)("and is $doing is dismissed, and the run goes on without it", async (hanging) => {
    const { driven } = await halted(
      { "a-1": "step", "b-1": "step" },
      { "a-1": "waiting", "b-1": hanging.doing },
    );
    // The first only asks.
    await checks(hanging.most);
    expect(workers.has("b-1")).toBe(true);
    await checks(1);
    expect(workers.has("b-1")).toBe(false);
    await driven;
    const reason = `worker b-1 was dismissed: ${hanging.reason}`;
    expect(of("recovered")).toEqual([{ event: "recovered", step: 2, generation: 2, reason }]);
    expect(of("step").map(({ step }) => step)).toEqual([1, 2, 3, 4, 5, 6]);
    expect(of("done")[0]).toMatchObject({ steps: 6, workersLost: 1 });
  });

  test("may take as long as it likes while it does something", async () => {
    const { run, driven } = await halted({ "b-1": "step" }, { "a-1": "waiting", "b-1": "working" });
    await checks(5 * MOST_STALLED);
    expect([...workers.keys()]).toEqual(["a-1", "b-1"]);
    expect(of("recovered")).toEqual([]);
    run.deliver("b-1", {
      type: "ready",
      generation: 1,
      step: 3,
      squaredNorm: 4,
      lossSum: 128,
      tokens: 64,
      times: { passed: 1, waited: 0, exchanging: 0, exposed: 0 },
      bytes: { site: {}, wide: {} },
    });
    await turns();
    expect(of("step").map(({ step }) => step)).toEqual([1, 2, 3]);
    workers.get("b-1")!.doing = "silent";
    await checks(1 + MOST_SILENT);
    await driven;
  });

  test("to a loss and is silent is not waited for when the others go on", async () => {
    const { run, driven } = await halted(
      { "a-1": "step", "b-1": "hold" },
      { "a-1": "working", "b-1": "silent" },
    );
    run.deliver("a-1", { type: "failed", generation: 1, message: "link to b-1: gone", fatal: false });
    await turns();
    await checks(1 + MOST_SILENT);
    await driven;
    expect(of("recovered").map(({ step, reason }) => [step, reason])).toEqual([
      [2, "worker a-1: link to b-1: gone"],
    ]);
    expect(of("done")[0]).toMatchObject({ steps: 6, workersLost: 1 });
  });

  test("to the run's last word and is silent is not missed", async () => {
    const { driven } = await halted({ "b-1": "release" }, { "a-1": "working", "b-1": "silent" });
    await checks(1 + MOST_SILENT);
    await driven;
    expect(of("recovered")).toEqual([]);
    expect(of("done")[0]).toMatchObject({ steps: 6, workersLost: 0 });
  });

  test("a part of a checkpoint and is silent: the others save the last one", async () => {
    const run = makeRun({ stages: 2, checkpointEvery: 6 });
    addWorkers(run, ["a-1", "a-2", "a-3"], (order, answer) =>
      order.type === "save" && workers.has("a-2") ? null : answer,
    );
    workers.get("a-2")!.doing = "silent";
    const driven = run.drive();
    await turns();
    await checks(1 + MOST_SILENT);
    await driven;
    expect(of("recovered").map(({ reason }) => reason)).toEqual([
      expect.stringMatching(/^worker a-2 was dismissed/),
    ]);
    expect(of("done")[0]).toMatchObject({ checkpoint: "run-1-step-6" });
  });
});

test("workers that all wait for each other: the generation fails, and nobody is dismissed", async () => {
  const { run, driven } = await halted(
    { "a-1": "step", "b-1": "step" },
    { "a-1": "waiting", "b-1": "waiting" },
  );
  await checks(3 * (1 + MOST_WAITING));
  await driven;
  expect([...workers.keys()]).toEqual(["a-1", "b-1"]);
  expect(run.status).toBe("failed");
  expect(of("failed")[0]!.message).toMatch(
    /got no further; the last: for 5 minutes nobody did anything but wait: a-1, b-1/,
  );
});

test("workers that wait for what another is still sending: nothing happens, though that one owes nothing", async () => {
  const { driven } = await halted({ "a-1": "step" }, { "a-1": "waiting", "b-1": "working" });
  await checks(3 * MOST_WAITING);
  expect(of("recovered")).toEqual([]);
  workers.get("b-1")!.doing = "waiting";
  await checks(1 + MOST_WAITING);
  expect(of("recovered")).toMatchObject([{ step: 2, reason: expect.stringMatching(/: a-1, b-1$/) }]);
  workers.get("a-1")!.doing = "silent";
  await checks(1 + MOST_SILENT);
  await driven;
});

test("it is dismissed when what it says leaves no doubt, and not before", () => {
  const words = fc.constantFrom<Doing | "silent">("silent", "stalled", "waiting", "working");
  fc.assert(
    fc.property(fc.array(fc.tuple(words, fc.integer({ min: 1, max: 80 }))), (said) => {
      const answers = said.flatMap(([word, times]) => Array<typeof word>(times).fill(word));
      const most = (end: number, word: string, times: number) =>
        end >= times && answers.slice(end - times, end).every((answer) => answer === word);
      const first = answers.findIndex(
        (_, i) => most(i + 1, "silent", MOST_SILENT) || most(i + 1, "stalled", MOST_STALLED),
      );
      const dismissed: number[] = [];
      let asked = 0;
      const { port } = fakeWorker("a-1", () => {}, undefined, {
        alive: () => {},
        dismiss: () => dismissed.push(asked),
      });
      // Another keeps it from waiting for nobody.
      const busy = fakeWorker("a-2", () => {});
      const watchdog = new Watchdog({
        owing: () => (dismissed.length > 0 ? [] : [port, busy.port]),
        members: () => [],
        onDeadlock: () => expect.unreachable(),
      });
      watchdog.start();
      for (const answer of [...answers, "working" as const]) {
        vi.advanceTimersByTime(CHECK_MS);
        asked++;
        watchdog.alive("a-2", "working");
        if (answer !== "silent") watchdog.alive("a-1", answer);
      }
      watchdog.stop();
      // The check after the last of these answers counts it.
      expect(dismissed).toEqual(first < 0 ? [] : [first + 1]);
    }),
  );
});
