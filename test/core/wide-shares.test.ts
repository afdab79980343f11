import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { wideShares } from "../../core/plan/wide-shares.ts";
import { cutByShares } from "../../core/reduce/pieces.ts";

const speeds = fc.array(fc.double({ min: 0.01, max: 100, noNaN: true }), { minLength: 1, maxLength: 16 });
const total = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0);

/** Seconds that the slowest site's link needs for a byte of values. */
const slowest = (bytesPerSecond: readonly number[], shares: readonly number[]) =>
  Math.max(...shares.map((share, i) => (1 + (shares.length - 2) * share) / bytesPerSecond[i]!));

describe("wideShares", () => {
  test("are shares of one whole, and a faster site's is no smaller", () => {
    fc.assert(
      fc.property(speeds, (bytesPerSecond) => {
        const shares = wideShares(bytesPerSecond);
        expect(total(shares)).toBeCloseTo(1, 9);
        expect(Math.min(...shares)).toBeGreaterThanOrEqual(0);
        const byOf = bytesPerSecond.map((speed, i) => ({ speed, share: shares[i]! }));
        byOf.sort((a, b) => a.speed - b.speed);
        for (const [i, { share }] of byOf.slice(1).entries()) {
          expect(share).toBeGreaterThanOrEqual(byOf[i]!.share - 1e-12);
        }
      }),
    );
  });

  test("no others have the slowest link done sooner", () => {
    const cases = speeds.chain((bytesPerSecond) =>
      fc.record({
        bytesPerSecond: fc.constant(bytesPerSecond),
        others: fc.array(fc.double({ min: 0.001, max: 1, noNaN: true }), {
          minLength: bytesPerSecond.length,
          maxLength: bytesPerSecond.length,
        }),
      }),
    );
    fc.assert(
      fc.property(cases, ({ bytesPerSecond, others }) => {
        const own = slowest(bytesPerSecond, wideShares(bytesPerSecond));
        const normal = others.map((share) => share / total(others));
        expect(own).toBeLessThanOrEqual(slowest(bytesPerSecond, normal) * (1 + 1e-9));
        // Nor moving a little from one site to another.
        const shares = wideShares(bytesPerSecond);
        for (const from of shares.keys()) {
          const moved = Math.min(shares[from]!, 0.01);
          const changed = shares.map((share, i) =>
            i === from ? share - moved : share + moved / (shares.length - 1 || 1),
          );
          if (shares.length > 1)
            expect(own).toBeLessThanOrEqual(slowest(bytesPerSecond, changed) * (1 + 1e-9));
        }
      }),
    );
  });
});

test("parts cover all values once, in order", () => {
  fc.assert(
    fc.property(speeds, fc.nat(10_000), (bytesPerSecond, size) => {
      const parts = cutByShares(size, wideShares(bytesPerSecond));
      let reached = 0;
      for (const { first, end } of parts) {
        expect(first).toBe(reached);
        expect(end).toBeGreaterThanOrEqual(first);
        reached = end;
      }
      expect(reached).toBe(size);
    }),
  );
});
