// Cuts against all cuts, shares against all shares.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { allocate, allocationFront, type StageRoom } from "../../core/plan/allocate.ts";
import { pipelineSeconds } from "../../core/plan/cost.ts";
import { shareMicrobatches } from "../../core/plan/shares.ts";
import { compositions } from "../fixtures/every-plan.ts";

const rooms: fc.Arbitrary<StageRoom[]> = fc.array(
  fc.record({
    fixed: fc.integer({ min: 0, max: 9 }),
    each: fc.integer({ min: 1, max: 9 }),
    most: fc.integer({ min: 0, max: 8 }),
  }),
  { minLength: 1, maxLength: 4 },
);
const blocks = fc.integer({ min: 1, max: 8 });

/** Sum and largest stage of every way to cut that memory allows. */
function everyCut(list: StageRoom[], total: number): { sum: number; largest: number }[] {
  return compositions(total, list.length, 1)
    .filter((counts) => counts.every((count, i) => count <= list[i]!.most))
    .map((counts) => counts.map((count, i) => list[i]!.fixed + count * list[i]!.each))
    .map((times) => ({ sum: times.reduce((a, b) => a + b, 0), largest: Math.max(...times) }));
}

describe("blocks over stages", () => {
  test("the smallest largest stage of all cuts, and of those the smallest sum; null when none fits", () => {
    fc.assert(
      fc.property(rooms, blocks, (list, total) => {
        const all = everyCut(list, total).sort((a, b) => a.largest - b.largest || a.sum - b.sum);
        const found = allocate(list, total);
        expect(found && { sum: found.sum, largest: found.largest }).toEqual(all[0] ?? null);
        if (!found) return;
        expect(found.blocks.reduce((a, b) => a + b, 0)).toBe(total);
        for (const [i, count] of found.blocks.entries()) {
          expect(count).toBeGreaterThanOrEqual(1);
          expect(count).toBeLessThanOrEqual(list[i]!.most);
        }
      }),
    );
  });

  test("whatever the sum and the largest weigh, the best of all cuts is on the front", () => {
    fc.assert(
      fc.property(rooms, blocks, fc.integer({ min: 0, max: 20 }), (list, total, weight) => {
        const cost = ({ sum, largest }: { sum: number; largest: number }) => sum + weight * largest;
        const front = allocationFront(list, total);
        expect(Math.min(...front.map(cost))).toBe(Math.min(...everyCut(list, total).map(cost)));
      }),
    );
  });
});

describe("microbatches over replicas", () => {
  const sharers = fc.array(
    fc.record({
      fill: fc.integer({ min: 1, max: 30 }),
      period: fc.integer({ min: 1, max: 9 }),
      after: fc.integer({ min: 0, max: 9 }),
    }),
    { minLength: 1, maxLength: 4 },
  );

  test("the slowest is as early as in the best of all shares", () => {
    fc.assert(
      fc.property(sharers, fc.integer({ min: 1, max: 8 }), (list, microbatches) => {
        const slowest = (shares: readonly number[]) =>
          Math.max(
            ...shares.map((share, i) => (share > 0 ? pipelineSeconds(list[i]!, share) + list[i]!.after : 0)),
          );
        const shares = shareMicrobatches(list, microbatches);
        expect(shares.reduce((a, b) => a + b, 0)).toBe(microbatches);
        const all = compositions(microbatches, list.length, 0);
        expect(slowest(shares)).toBe(Math.min(...all.map(slowest)));
      }),
    );
  });

  test("speeds of 4 : 2 : 1 : 1 share 32 in proportion", () => {
    const list = [1, 2, 4, 4].map((period) => ({ fill: period, period, after: 0 }));
    expect(shareMicrobatches(list, 32)).toEqual([16, 8, 4, 4]);
  });
});
