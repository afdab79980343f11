import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { RoundsConfig } from "../../core/model/config.ts";
import { ownedSegment, parameterSpace, stageRange } from "../../core/model/parameters.ts";
import type { Plan } from "../../core/plan/plan.ts";
import { evenStanding } from "../../core/plan/progress.ts";
import { dutiesOf, exchangeAt, fragmentSegments, nextExchange, type Duty } from "../../core/plan/rounds.ts";
import { evenParts, holdingsOf } from "../../core/reduce/holdings.ts";
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

/** What a site does after each step, from 1 to `steps`, if all that it begins comes to an end. */
function duties(strategy: RoundsConfig, steps: number): { step: number; duties: Duty[] }[] {
  const standing = { step: 0, begun: 0, merged: 0 };
  return Array.from({ length: steps }, (_, i) => {
    standing.step = i + 1;
    const due = dutiesOf(strategy, standing, steps);
    for (const { kind, at } of due) standing[kind === "exchange" ? "begun" : "merged"] = at;
    return { step: i + 1, duties: due };
  });
}

describe("the calendar of rounds", () => {
  test("each fragment is exchanged once in `inner` steps, and each exchange takes effect `overlap` steps later", () => {
    fc.assert(
      fc.property(strategies, fc.integer({ min: 1, max: 150 }), (strategy, steps) => {
        const all = duties(strategy, steps).flatMap(({ step, duties }) =>
          duties.map((duty) => ({ step, ...duty })),
        );
        const before = all.filter(({ last }) => !last);
        for (let fragment = 0; fragment < strategy.fragments; fragment++) {
          const stepsOf = (kind: Duty["kind"]) =>
            before
              .filter((duty) => duty.kind === kind && duty.fragments.includes(fragment))
              .map(({ step }) => step);
          const begun = stepsOf("exchange");
          begun.slice(1).forEach((step, i) => expect(step - begun[i]!).toBe(strategy.inner));
          expect(begun.length).toBeGreaterThanOrEqual(Math.floor((steps - 1) / strategy.inner));
          expect(stepsOf("merge")).toEqual(begun.map((step) => Math.min(steps, step + strategy.overlap)));
        }
        const everything = { step: steps, at: steps, fragments: [...Array(strategy.fragments).keys()] };
        expect(all.slice(-2)).toEqual([
          { kind: "exchange", last: true, ...everything },
          { kind: "merge", last: true, ...everything },
        ]);
      }),
    );
  });

  test("no exchange begins while another is under way", () => {
    fc.assert(
      fc.property(strategies, (strategy) => {
        let underWay = 0;
        for (const { kind } of duties(strategy, 1000).flatMap(({ duties }) => duties)) {
          underWay += kind === "exchange" ? 1 : -1;
          expect(underWay === 0 || underWay === 1).toBe(true);
        }
      }),
    );
  });

  test("a site whose exchange came to nothing begins it again at once, before anything else", () => {
    fc.assert(
      fc.property(strategies, fc.nat(100), fc.integer({ min: 1, max: 100 }), (strategy, done, more) => {
        const steps = done + more;
        const { step, ...usual } = evenStanding(strategy, done);
        const [first] = dutiesOf(strategy, { step, ...usual }, steps);
        expect(first).toBeUndefined();
        let at = step;
        while (at > 0 && exchangeAt(strategy, at, steps).fragments.length === 0) at--;
        fc.pre(at > 0);
        const again = dutiesOf(strategy, { step, begun: at - 1, merged: at - 1 }, steps);
        const exchange = exchangeAt(strategy, at, steps);
        const isDue = at + strategy.overlap <= step;
        expect(again).toEqual([
          { kind: "exchange", ...exchange },
          ...(isDue ? [{ kind: "merge", ...exchange }] : []),
        ]);
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

test("replicas that cut the model differently share out a fragment in the same parts", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 7 }),
      fc.array(fc.array(fc.nat(), { maxLength: 3 }), { minLength: 1, maxLength: 4 }),
      fc.integer({ min: 1, max: 4 }),
      fc.boolean(),
      (layers, cuts, fragments, tied) => {
        const model = { ...tinyConfig().model, layers, tied };
        const replicas: Plan["replicas"] = cuts.map((of, r) => {
          const bounds = [...new Set([0, ...of.map((cut) => cut % layers), layers])].sort((a, b) => a - b);
          const stages = bounds.slice(1).map((last, s) => ({ worker: `${r}-${s}`, first: bounds[s]!, last }));
          return { site: "a", stages, microbatches: [] };
        });
        const holdings = replicas.map((replica) => holdingsOf(model, replica));
        for (let fragment = 0; fragment < fragments; fragment++) {
          // Each worker's, in order, as it cuts them by itself.
          const parts = replicas.map(({ stages }) =>
            stages
              .flatMap(({ first, last }) =>
                fragmentSegments(model, stageRange(model, first, last), fragment, fragments),
              )
              .flatMap((segment) => evenParts(holdings, segment)),
          );
          for (const others of parts) expect(others).toEqual(parts[0]);
        }
      },
    ),
  );
});
