// Schedules played through: what has to come before what, and the closed form that the planner weighs plans with.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { loadOf, pipelineCost, pipelineSeconds } from "../../core/plan/cost.ts";
import { inFlight, oneForwardOneBackward } from "../../core/plan/schedule.ts";
import { endOf, playPipeline, type Op, type TimedOp } from "../../core/plan/timeline.ts";
import { zeroBubble } from "../../core/plan/zero-bubble.ts";
import { tinyConfig } from "../fixtures/configs.ts";

type Order = (stage: number, stages: number, microbatches: number) => Op[];

const seconds = fc.integer({ min: 1, max: 20 });
const pipelines = fc
  .record({
    stages: fc.array(fc.record({ forward: seconds, input: seconds, weights: seconds }), {
      minLength: 1,
      maxLength: 6,
    }),
    microbatches: fc.integer({ min: 1, max: 12 }),
    wire: fc.integer({ min: 0, max: 8 }),
    delay: fc.integer({ min: 0, max: 30 }),
  })
  .map((p) => ({
    ...p,
    times: p.stages.map((times) => ({ ...times, backward: times.input + times.weights })),
  }));
type Pipeline = typeof pipelines extends fc.Arbitrary<infer T> ? T : never;

function play({ times, microbatches, wire, delay }: Pipeline, order: Order): TimedOp[][] {
  const orders = times.map((_, stage) => order(stage, times.length, microbatches));
  return playPipeline(orders, { seconds: (stage, kind) => times[stage]![kind], wire, delay });
}

const find = (ops: readonly TimedOp[], index: number, ...kinds: string[]) =>
  ops.find((op) => op.index === index && kinds.includes(op.kind))!;

describe.each([
  ["1F1B", oneForwardOneBackward, ["forward", "backward"]],
  ["ZB-H1", zeroBubble, ["forward", "input", "weights"]],
] as [string, Order, string[]][])("%s", (_, order, kinds) => {
  test("each operation comes once, those of a kind in microbatch order, one at a time", () => {
    fc.assert(
      fc.property(pipelines, (pipeline) => {
        for (const ops of play(pipeline, order)) {
          expect(ops).toHaveLength(kinds.length * pipeline.microbatches);
          for (const kind of kinds) {
            expect(ops.filter((op) => op.kind === kind).map(({ index }) => index)).toEqual(
              Array.from({ length: pipeline.microbatches }, (_, i) => i),
            );
          }
          for (const [i, { start, end }] of ops.entries()) {
            expect(start).toBeGreaterThanOrEqual(ops[i - 1]?.end ?? 0);
            expect(end).toBeGreaterThan(start);
          }
        }
      }),
    );
  });

  test("nothing begins before what it needs has arrived", () => {
    fc.assert(
      fc.property(pipelines, (pipeline) => {
        const { microbatches, wire, delay } = pipeline;
        const timeline = play(pipeline, order);
        for (const [stage, ops] of timeline.entries()) {
          for (let index = 0; index < microbatches; index++) {
            const forward = find(ops, index, "forward");
            const back = find(ops, index, "backward", "input");
            expect(back.start).toBeGreaterThanOrEqual(forward.end);
            const before = timeline[stage - 1];
            if (before) {
              expect(forward.start).toBeGreaterThanOrEqual(find(before, index, "forward").end + wire + delay);
              const wanted = find(before, index, "backward", "input").start;
              expect(wanted).toBeGreaterThanOrEqual(back.end + wire + delay);
            }
            const weights = find(ops, index, "weights");
            if (weights) expect(weights.start).toBeGreaterThanOrEqual(back.end);
          }
        }
      }),
    );
  });
});

describe("1F1B's seconds", () => {
  const closedForm = ({ times, microbatches, wire, delay }: Pipeline) => {
    const load = { ...loadOf(tinyConfig()), activations: wire, tied: 0 };
    const work = times.map(({ forward, backward }) => forward + backward);
    const sum = work.reduce((a, b) => a + b, 0);
    const cost = pipelineCost(load, { bytesPerSecond: 1, delay }, work.length, {
      sum,
      largest: Math.max(...work),
    });
    return pipelineSeconds(cost, microbatches);
  };

  test("are at most the closed form's", () => {
    fc.assert(
      fc.property(pipelines, (pipeline) => {
        expect(endOf(play(pipeline, oneForwardOneBackward))).toBeLessThanOrEqual(closedForm(pipeline) + 1e-9);
      }),
      { numRuns: 1000 },
    );
  });

  test("are the closed form's where stages are even and frames take no time", () => {
    fc.assert(
      fc.property(pipelines, ({ times, ...rest }) => {
        const even = { ...rest, times: times.map(() => times[0]!), wire: 0, delay: 0 };
        expect(endOf(play(even, oneForwardOneBackward))).toBe(closedForm(even));
      }),
    );
  });

  test("each further microbatch costs even stages what the closed form says, the delay of frames included", () => {
    fc.assert(
      fc.property(pipelines, ({ times, ...rest }) => {
        const even = { ...rest, times: times.map(() => times[0]!), wire: 0 };
        const S = times.length;
        const of = (microbatches: number) => endOf(play({ ...even, microbatches }, oneForwardOneBackward));
        // The order repeats after S microbatches.
        const [from, to] = [4 * S, 8 * S];
        const period = closedForm({ ...even, microbatches: 2 }) - closedForm({ ...even, microbatches: 1 });
        expect((of(to) - of(from)) / (to - from)).toBeCloseTo(period, 9);
      }),
    );
  });
});

describe("ZB-H1", () => {
  test("no stage holds more microbatches than 1F1B's first", () => {
    fc.assert(
      fc.property(pipelines, ({ stages: { length }, microbatches }) => {
        for (let stage = 0; stage < length; stage++) {
          let [held, most] = [0, 0];
          for (const { kind } of zeroBubble(stage, length, microbatches)) {
            held += kind === "forward" ? 1 : kind === "weights" ? -1 : 0;
            most = Math.max(most, held);
          }
          expect(held).toBe(0);
          expect(most).toBeLessThanOrEqual(inFlight(0, length, microbatches));
        }
      }),
    );
  });

  test("takes even stages with even thirds a third of 1F1B's bubble, as the paper says", () => {
    for (const S of [2, 3, 4, 8]) {
      for (const m of [2 * S, 3 * S, 32]) {
        const times = Array.from({ length: S }, () => ({ forward: 1, input: 1, weights: 1, backward: 2 }));
        const even = { stages: times, times, microbatches: m, wire: 0, delay: 0 };
        expect(endOf(play(even, oneForwardOneBackward)), `${S} ${m}`).toBe(3 * m + 3 * (S - 1));
        expect(endOf(play(even, zeroBubble)), `${S} ${m}`).toBe(3 * m + (S - 1));
      }
    }
  });
});
