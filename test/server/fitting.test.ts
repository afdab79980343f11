// Workers whose GPUs turn out to be too small for what they are assigned.
import fc from "fast-check";
import { beforeEach, describe, expect, test } from "vitest";
import { stageBytes, stageSpecOf } from "../../core/plan/memory.ts";
import { positionOf, type Plan } from "../../core/plan/plan.ts";
import { tinyConfig } from "../fixtures/configs.ts";
import { addWorkers, makeRun, of, orders, reset, speedOf, speeds } from "./fake-run.ts";

beforeEach(reset);

const model = { ...tinyConfig().model, layers: 10 };
const config = tinyConfig({ model });

const bytesOf = (plan: Plan, worker: string): number => {
  const { replica, stage } = positionOf(plan, worker)!;
  return stageBytes(stageSpecOf(config, plan.replicas[replica]!, stage));
};

/** What the stages of a pipeline that is cut there take. */
function bytesOfCuts(cuts: readonly number[]): number[] {
  const stages = cuts.map((last, i) => ({ worker: `w-${i}`, first: cuts[i - 1] ?? 0, last }));
  const microbatches = Array.from({ length: config.batch }, (_, i) => i);
  const plan = { replicas: [{ site: "w", stages, microbatches }], spare: [] };
  return stages.map(({ worker }) => bytesOf(plan, worker));
}

/** What so many blocks take between two others. */
const bytesOfBlocks = (blocks: number): number => bytesOfCuts([1, 1 + blocks, model.layers])[1]!;

/** Runs on a site of workers with room for so many bytes each. Returns how many generations it took. */
async function generations(rooms: readonly number[], measured: boolean): Promise<number> {
  const run = makeRun({ model, steps: 2 });
  rooms.forEach((room, i) => {
    const id = `a-${i + 1}`;
    if (measured) speeds.set(id, { ...speedOf(1e9), memory: 2 ** 50 });
    addWorkers(run, [id], (order, answer) =>
      order.type === "assign" && bytesOf(order.plan, id) > room
        ? { type: "failed", generation: order.generation, message: "no room", fatal: true }
        : answer,
    );
  });
  await run.drive();
  expect(of("failed")).toEqual([]);
  expect(of("done")).toMatchObject([{ steps: 2, workersLost: 0 }]);
  return of("plan").length;
}

describe.each([{ measured: true }, { measured: false }])("speeds are measured: $measured", ({ measured }) => {
  test("one of two workers has room for half of what it is given", async () => {
    expect(await generations([bytesOfBlocks(4), 2 ** 40], measured)).toBeLessThanOrEqual(5);
  });

  test("all that have too little room say so in one generation", async () => {
    const rooms = Array.from({ length: 8 }, () => bytesOfBlocks(3));
    expect(await generations(rooms, measured)).toBeLessThanOrEqual(5);
  });

  test("a plan that leaves no room to spare is found", async () => {
    await generations(bytesOfCuts([3, 7, 10]), measured);
    expect(orders("a-1", "commit")).toHaveLength(2);
  });
});

test("whatever room workers have: where one of them can hold it all, the run is done", async () => {
  const room = fc.integer({ min: 0, max: 10 });
  await fc.assert(
    fc.asyncProperty(
      fc.array(room, { minLength: 1, maxLength: 4 }),
      fc.boolean(),
      async (blocks, measured) => {
        reset();
        await generations([...blocks.map((count) => (count / 8) * bytesOfBlocks(8)), 2 ** 40], measured);
      },
    ),
    { numRuns: 12 },
  );
});

test("where no plan is small enough, the run ends with a worker's words", async () => {
  const run = makeRun({ model });
  addWorkers(run, ["a-1", "a-2"], ({ type, generation }, answer) =>
    type === "assign" ? { type: "failed", generation, message: "no room", fatal: true } : answer,
  );
  await run.drive();
  expect(of("failed")).toMatchObject([{ message: "worker a-1: no room", cause: "configuration" }]);
});
