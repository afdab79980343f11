import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { allowedSeconds, leavesOut } from "../../core/plan/pace.ts";

const seconds = fc.double({ min: 0.01, max: 100, noNaN: true });

describe("the seconds a step may take", () => {
  test("are never less than half of the sites need, and do not grow with a site that is far slower", () => {
    fc.assert(
      fc.property(fc.array(seconds, { minLength: 1, maxLength: 16 }), (sites) => {
        const allowed = allowedSeconds(sites);
        const within = sites.filter((site) => site <= allowed).length;
        expect(within).toBeGreaterThanOrEqual(Math.ceil(sites.length / 2));
        const slowest = sites.indexOf(Math.max(...sites));
        if (sites.length < 3) return;
        const times = (factor: number) => sites.map((site, i) => (i === slowest ? site * factor : site));
        expect(allowedSeconds(times(1e6))).toBe(allowedSeconds(times(1e5)));
      }),
    );
  });

  test("of two sites are the faster one's and half as much again", () => {
    expect(allowedSeconds([1, 8])).toBe(1.5);
  });

  test("leave room for sites that scatter evenly", () => {
    expect(allowedSeconds([1, 1.4, 1.8, 2.2, 2.6])).toBeCloseTo(1.8 + 3 * 0.4);
  });
});

describe("leaving steps out", () => {
  const interval = { steps: 40, arrived: 1, sites: 2 };

  test("not the first, none that fits, and none while fewer than half of the sites wait", () => {
    fc.assert(
      fc.property(seconds, fc.integer({ min: 1, max: 50 }), (step, steps) => {
        const late = { ...interval, steps, seconds: 1000 * step * steps, nextStep: 1000 };
        expect(leavesOut({ ...late, done: 0 }, step)).toBe(false);
        expect(leavesOut({ ...late, done: 1 }, step)).toBe(true);
        expect(leavesOut({ ...late, done: 1, arrived: 0 }, step)).toBe(false);
        expect(leavesOut({ ...late, done: 1, arrived: 1, sites: 3 }, step)).toBe(false);
        // A site that is as fast as allowed does all its steps.
        for (let done = 1; done < steps; done++) {
          const punctual = { ...interval, steps, done, seconds: done * step * 0.999, nextStep: step * 0.999 };
          expect(leavesOut(punctual, step)).toBe(false);
        }
      }),
    );
  });

  test("a site four times as slow does about a quarter of what the time allows", () => {
    let done = 0;
    while (!leavesOut({ ...interval, done, seconds: done * 4, nextStep: 4 }, 1)) done++;
    expect(done).toBe(10);
  });
});
