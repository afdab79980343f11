// Pacing, on a clock that the test moves: sleeps end late, or a fraction early, as timers do.
import fc from "fast-check";
import { expect, test } from "vitest";
import { blockFlops, headFlops } from "../../core/plan/partition.ts";
import { flopsOf, stageWork, type StageWork } from "../../core/plan/work.ts";
import { stageRange } from "../../core/model/parameters.ts";
import { Pacer, VirtualClock } from "../../web/worker/pacer.ts";
import { tinyConfig } from "../fixtures/configs.ts";

const START = 1000;
/** Millions of FLOPs; at 1 GFLOP/s each takes a millisecond. */
const MEGA = 1e6;

function paced(pace = 1, late: (ms: number) => number = () => 0) {
  let now = START;
  const behind: number[] = [];
  const pacer = new Pacer({
    pace,
    onBehind: (share) => behind.push(share),
    now: () => now,
    sleep: async (ms) => void (now += Math.max(0.01, ms + late(ms))),
  });
  const pass = async (ms: number) => {
    await Promise.resolve();
    now += ms;
  };
  return { pacer, behind, pass, now: () => now };
}

const piece = fc.record({
  /** Waited for before it, ms. */
  wait: fc.oneof(fc.constant(0), fc.double({ min: 2, max: 500, noNaN: true })),
  mega: fc.integer({ min: 1, max: 300 }),
  /** What the GPU takes, of what it may. */
  real: fc.double({ min: 0, max: 2, noNaN: true }),
  /** By how much a sleep ends late; a little below 0: early. */
  late: fc.double({ min: -0.3, max: 8, noNaN: true }),
});

test("never ahead: results come when a device of the pace could have them, or later", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(piece, { minLength: 1, maxLength: 30 }), async (pieces) => {
      let late = 0;
      const { pacer, pass, now } = paced(1, () => late);
      let free = START;
      for (const { wait, mega, real, late: next } of pieces) {
        late = next;
        if (wait > 0) {
          await pacer.input(pass(wait));
          free = Math.max(free, now());
        }
        await pacer.spend(mega * MEGA, pass(real * mega));
        free += mega;
        expect(now()).toBeGreaterThanOrEqual(free - 1e-6);
      }
    }),
  );
});

test("a GPU that is fast enough takes FLOPs / pace in all, however late its sleeps end", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(piece, { minLength: 1, maxLength: 30 }),
      fc.double({ min: 0.1, max: 1000, noNaN: true }),
      async (pieces, pace) => {
        let late = 0;
        const { pacer, pass, now, behind } = paced(pace, () => late);
        let flops = 0;
        for (const { mega, late: next } of pieces) {
          // The next piece still has the time: it takes the GPU a tenth, and 10 ms at least are its own.
          const own = (10 + mega) * pace * MEGA;
          late = next;
          flops += own;
          await pacer.spend(own, pass((10 + mega) / 10));
        }
        late = 0;
        flops += 20 * pace * MEGA;
        await pacer.spend(20 * pace * MEGA, pass(1));
        expect(now() - START).toBeCloseTo(flops / pace / MEGA, 1);
        expect(behind).toEqual([]);
      },
    ),
  );
});

test("time in which there was nothing to do is not made up for", async () => {
  const { pacer, pass, now } = paced();
  await pacer.spend(100 * MEGA, pass(10));
  await pass(500);
  pacer.begin();
  await pacer.spend(100 * MEGA, pass(10));
  await pacer.input(pass(300));
  await pacer.spend(100 * MEGA, pass(10));
  expect(now() - START).toBe(100 + 500 + 100 + 300 + 100);
});

test("a piece that took too long is made up for by the next ones", async () => {
  const { pacer, pass, now } = paced();
  await pacer.spend(100 * MEGA, pass(130));
  expect(now() - START).toBe(130);
  await pacer.spend(100 * MEGA, pass(10));
  expect(now() - START).toBe(200);
});

test("a GPU that is slower than its pace is told of once, with its share", async () => {
  const { pacer, pass, behind } = paced(4);
  for (let i = 0; i < 100; i++) await pacer.spend(400 * MEGA, pass(200));
  expect(behind).toHaveLength(1);
  expect(behind[0]).toBeCloseTo(0.5, 5);
});

test("slow only while it compiles: nothing is said", async () => {
  const { pacer, pass, behind } = paced();
  await pacer.spend(100 * MEGA, pass(1500));
  for (let i = 0; i < 100; i++) await pacer.spend(100 * MEGA, pass(60));
  expect(behind).toEqual([]);
});

test("the clock alone: work adds up, and nothing begins before its time", () => {
  const clock = new VirtualClock(1e9, 0);
  expect(clock.work(5 * MEGA)).toBe(5);
  clock.notBefore(3);
  expect(clock.work(5 * MEGA)).toBe(10);
  clock.notBefore(50);
  expect(clock.work(5 * MEGA)).toBe(55);
});

test("the stages of a replica do the work of the whole model, backward twice the forward", () => {
  const { model, microbatch } = tinyConfig({ microbatch: 2 });
  const cuts = [0, 1, 3];
  const stages = [0, 1].map((i) =>
    stageWork({ model, microbatch, range: stageRange(model, cuts[i]!, cuts[i + 1]!) }),
  );
  const sum = (what: keyof StageWork) => stages.reduce((total, work) => total + flopsOf(work[what]), 0);
  const forward = 2 * model.context * (model.layers * blockFlops(model) + headFlops(model));
  expect(sum("evaluate")).toBe(forward);
  expect(sum("forward") + sum("backward")).toBe(3 * forward);
  expect(sum("input") + sum("weights")).toBeCloseTo(sum("backward"));
  // Every weight's gradient takes what its product took forward.
  const { layers, context, width } = model;
  const scores = 2 * context * layers * 2 * context * width;
  expect(sum("weights")).toBeCloseTo(sum("backward") / 2 - scores);
});

test("a new pace counts from then on", async () => {
  const { pacer, pass, now } = paced(1);
  await pacer.spend(100 * MEGA, pass(0));
  expect(now()).toBeCloseTo(START + 100, 1);
  pacer.pace = 0.25;
  await pacer.spend(100 * MEGA, pass(0));
  expect(now()).toBeCloseTo(START + 500, 1);
});
