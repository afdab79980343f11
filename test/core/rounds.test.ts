import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { RoundsConfig } from "../../core/model/config.ts";
import { ownedSegment, parameterSpace, stageRange } from "../../core/model/parameters.ts";
import { fragmentSegments, nextExchange, roundsMoment } from "../../core/plan/rounds.ts";
import { roundsStrategy, tinyConfig } from "../fixtures/configs.ts";

const strategies = fc
  .record({
    inner: fc.integer({ min: 1, max: 40 }),
    fragments: fc.integer({ min: 1, max: 5 }),
    overlap: fc.nat(12),
  })
  .map((s) => RoundsConfig.safeParse(roundsStrategy(s)))
  .filter(({ success }) => success)
  .map(({ data }) => data!);

/** Each step's moment, from 1 to `steps`. */
const moments = (strategy: RoundsConfig, steps: number) =>
  Array.from({ length: steps }, (_, i) => ({ step: i + 1, ...roundsMoment(strategy, i + 1, steps) }));

describe("the calendar of rounds", () => {
  test("each fragment is exchanged once in `inner` steps, and each exchange takes effect `overlap` steps later", () => {
    fc.assert(
      fc.property(strategies, fc.integer({ min: 1, max: 150 }), (strategy, steps) => {
        const all = moments(strategy, steps);
        const before = all.slice(0, -1);
        for (let fragment = 0; fragment < strategy.fragments; fragment++) {
          const begun = before
            .filter(({ exchanges }) => exchanges.includes(fragment))
            .map(({ step }) => step);
          begun.slice(1).forEach((step, i) => expect(step - begun[i]!).toBe(strategy.inner));
          expect(begun.length).toBeGreaterThanOrEqual(Math.floor((steps - 1) / strategy.inner));
          const merged = all.flatMap(({ step, merges }) =>
            merges.filter((f) => f === fragment).map(() => step),
          );
          // Without overlap an exchange takes effect at once, after it has begun: `atOnce`.
          const later = strategy.overlap === 0 ? [] : begun;
          expect(merged).toEqual(later.map((step) => Math.min(steps, step + strategy.overlap)));
        }
        for (const { atOnce } of before) expect(atOnce).toBe(strategy.overlap === 0);
        expect(all.at(-1)).toMatchObject({
          atOnce: true,
          last: true,
          exchanges: [...Array(strategy.fragments).keys()],
        });
      }),
    );
  });

  test("no fragment begins while it, or another, is under way", () => {
    fc.assert(
      fc.property(strategies, (strategy) => {
        fc.pre(strategy.overlap > 0);
        let underWay = 0;
        for (const { merges, exchanges } of moments(strategy, 1000).slice(0, -1)) {
          underWay += exchanges.length - merges.length;
          expect(underWay).toBeLessThanOrEqual(1);
        }
      }),
    );
  });

  test("the next exchange is the nearest, at the latest the last step", () => {
    const strategy = roundsStrategy({ inner: 10, fragments: 2 });
    expect([0, 4, 5, 9, 10, 21].map((step) => nextExchange(strategy, step, 23))).toEqual([
      5, 5, 10, 10, 15, 23,
    ]);
  });
});

test("fragments are a stage's segment, cut into pieces", () => {
  fc.assert(
    fc.property(
      fc.record({
        layers: fc.integer({ min: 1, max: 7 }),
        cut: fc.nat(),
        fragments: fc.integer({ min: 1, max: 4 }),
        tied: fc.boolean(),
      }),
      ({ layers, cut, fragments, tied }) => {
        const model = { ...tinyConfig().model, layers, tied };
        const at = cut % layers;
        for (const range of [stageRange(model, 0, at), stageRange(model, at, layers)]) {
          if (range.first === range.last) continue;
          const { start, end } = ownedSegment(parameterSpace(model), range);
          const pieces = Array.from({ length: fragments }, (_, fragment) =>
            fragmentSegments(model, range, fragment, fragments),
          );
          for (const own of pieces)
            own.slice(1).forEach((s, i) => expect(s.start).toBeGreaterThan(own[i]!.end));
          const sorted = pieces.flat().sort((a, b) => a.start - b.start);
          expect(sorted.at(0)!.start).toBe(start);
          expect(sorted.at(-1)!.end).toBe(end);
          sorted.slice(1).forEach((s, i) => expect(s.start).toBe(sorted[i]!.end));
        }
      },
    ),
  );
});
