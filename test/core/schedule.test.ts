import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { inFlight, oneForwardOneBackward } from "../../core/plan/schedule.ts";

const pipelines = fc
  .record({ stages: fc.integer({ min: 1, max: 6 }), microbatches: fc.integer({ min: 0, max: 12 }) })
  .map((p) => ({
    ...p,
    ops: Array.from({ length: p.stages }, (_, s) => oneForwardOneBackward(s, p.stages, p.microbatches)),
  }));

describe("1F1B", () => {
  test("each microbatch goes forward once, then backward once, both in order", () => {
    fc.assert(
      fc.property(pipelines, ({ ops, microbatches }) => {
        const order = Array.from({ length: microbatches }, (_, i) => i);
        for (const stage of ops) {
          expect(stage.filter(({ kind }) => kind === "forward").map(({ index }) => index)).toEqual(order);
          expect(stage.filter(({ kind }) => kind === "backward").map(({ index }) => index)).toEqual(order);
        }
      }),
    );
  });

  test("a stage never holds more microbatches than inFlight says", () => {
    fc.assert(
      fc.property(pipelines, ({ ops, stages, microbatches }) => {
        for (const [s, stage] of ops.entries()) {
          let held = 0;
          let most = 0;
          for (const { kind } of stage) most = Math.max(most, (held += kind === "forward" ? 1 : -1));
          expect(most).toBe(inFlight(s, stages, microbatches));
        }
      }),
    );
  });

  test("no deadlock: with messages that wait for each other, every stage finishes", () => {
    fc.assert(
      fc.property(pipelines, ({ ops, stages }) => {
        const position = ops.map(() => 0);
        const done = new Set<string>();
        const ready = (s: number, kind: string, index: number) =>
          kind === "forward"
            ? s === 0 || done.has(`${s - 1} forward ${index}`)
            : s === stages - 1 || done.has(`${s + 1} backward ${index}`);
        for (let moved = true; moved;) {
          moved = false;
          for (const [s, stage] of ops.entries()) {
            const op = stage[position[s]!];
            if (!op || !ready(s, op.kind, op.index)) continue;
            done.add(`${s} ${op.kind} ${op.index}`);
            position[s]!++;
            moved = true;
          }
        }
        expect(position).toEqual(ops.map((stage) => stage.length));
      }),
    );
  });
});
