// From measured links to what is planned with: what counts, what does not, and that small changes change no plan.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { linkSpeeds, type MeasuredLink } from "../../core/plan/link-speeds.ts";
import { USUAL_SITE_LINK, type Measured } from "../../core/plan/measured.ts";
import { planRun } from "../../core/plan/planner.ts";
import { isWorthAPause } from "../../core/plan/replanning.ts";
import type { LinkFigure } from "../../core/plan/speed.ts";
import { wideShares } from "../../core/plan/wide-shares.ts";
import { LinkReport, NEWS } from "../../web/worker/link-report.ts";
import { roundsStrategy, tinyConfig } from "../fixtures/configs.ts";

const SITES = new Map([
  ["a", ["a-1", "a-2"]],
  ["b", ["b-1"]],
  ["c", ["c-1", "c-2"]],
]);
const WORKERS = [...SITES.values()].flat();
const siteOf = (worker: string) => worker[0]!;

const link = (
  from: string,
  to: string,
  mega: number,
  { delay = 0.01, generation = 1, filled = true } = {},
): MeasuredLink => ({
  from,
  to,
  generation,
  speed: { bytesPerSecond: mega * 1e6, delay, filled },
});

const anySpeed = fc.record({
  bytesPerSecond: fc.double({ min: 1e4, max: 1e8, noNaN: true }),
  delay: fc.double({ min: 0, max: 0.3, noNaN: true }),
  filled: fc.boolean(),
});
/** At most one figure a pair and direction. */
const anyLinks = fc.uniqueArray(
  fc
    .record({
      from: fc.constantFrom(...WORKERS, "gone-1"),
      to: fc.constantFrom(...WORKERS, "gone-1"),
      generation: fc.nat(3),
      speed: anySpeed,
    })
    .filter(({ from, to }) => from !== to),
  { selector: ({ from, to }) => `${from} ${to}`, maxLength: 20 },
);

describe("linkSpeeds", () => {
  test("without a figure a site's links are the usual ones, and lines are free", () => {
    const { siteLinks, wideLinks } = linkSpeeds(SITES, []);
    expect([...siteLinks]).toEqual([...SITES.keys()].map((site) => [site, USUAL_SITE_LINK]));
    expect([...wideLinks]).toEqual([]);
  });

  test("a line carries what its links do together; only the newest generation's count", () => {
    const { siteLinks, wideLinks } = linkSpeeds(SITES, [
      link("a-1", "b-1", 1, { delay: 0.02, generation: 2 }),
      link("a-2", "c-1", 3, { delay: 0.05, generation: 2, filled: false }),
      link("a-1", "c-2", 100, { delay: 0.5 }),
      link("b-1", "a-1", 2, { delay: 0.02 }),
      link("a-1", "a-2", 7, { delay: 0.001, generation: 2 }),
    ]);
    expect(wideLinks.get("a")).toEqual({ bytesPerSecond: 4e6, delay: 0.05 });
    expect(wideLinks.get("b")).toEqual({ bytesPerSecond: 2e6, delay: 0.02 });
    expect(wideLinks.has("c")).toBe(false);
    expect(siteLinks.get("a")).toEqual({ bytesPerSecond: 7e6, delay: 0.001 });
    expect(siteLinks.get("b")).toEqual(USUAL_SITE_LINK);
  });

  test("a link that was never filled is not taken for slow", () => {
    const { siteLinks, wideLinks } = linkSpeeds(SITES, [
      link("a-1", "a-2", 0.1, { filled: false }),
      link("c-1", "c-2", 50, { filled: false }),
      link("a-1", "b-1", 0.1, { filled: false }),
    ]);
    expect(siteLinks.get("a")).toEqual({ ...USUAL_SITE_LINK, delay: 0.01 });
    expect(siteLinks.get("c")!.bytesPerSecond).toBe(50e6);
    expect([...wideLinks]).toEqual([]);
  });

  test("the order of figures does not matter, nor who is gone; a figure is between those it is made of", () => {
    fc.assert(
      fc.property(anyLinks, fc.nat(1000), (links, seed) => {
        const found = linkSpeeds(SITES, links);
        const shuffled = [...links].sort((a, b) => key(a, seed) - key(b, seed));
        for (const kind of ["siteLinks", "wideLinks"] as const) {
          for (const [site, { bytesPerSecond, delay }] of linkSpeeds(SITES, shuffled)[kind]) {
            expect(bytesPerSecond / found[kind].get(site)!.bytesPerSecond).toBeCloseTo(1, 9);
            expect(delay).toBe(found[kind].get(site)!.delay);
          }
        }
        const stayed = links.filter(({ from, to }) => from !== "gone-1" && to !== "gone-1");
        expect(linkSpeeds(SITES, stayed)).toEqual(found);
        for (const [site, { bytesPerSecond, delay }] of found.wideLinks) {
          const ours = stayed.filter(({ from, to }) => siteOf(from) === site && siteOf(to) !== site);
          expect(bytesPerSecond).toBeGreaterThanOrEqual(
            Math.min(...ours.map(({ speed }) => speed.bytesPerSecond)),
          );
          expect(ours.map(({ speed }) => speed.delay)).toContain(delay);
        }
      }),
    );
  });

  test("three sites with lines known share wide sums by them", () => {
    const config = tinyConfig({ batch: 30, stages: 1 });
    const links = ["a", "b", "c"].flatMap((from, i) =>
      ["a", "b", "c"].filter((to) => to !== from).map((to) => link(`${from}-1`, `${to}-1`, [8, 4, 2][i]!)),
    );
    const measured = { workers: speedsOf(WORKERS.map(() => 1e6)), ...linkSpeeds(SITES, links) };
    expect(planRun(config, SITES, measured).plan.wideShares).toEqual(wideShares([16e6, 8e6, 4e6]));
  });
});

const key = ({ from, to }: MeasuredLink, seed: number): number =>
  [...`${from}${to}`].reduce((sum, letter) => (sum * 31 + letter.charCodeAt(0) + seed) % 997, 7);

const speedsOf = (flops: readonly number[]): Measured["workers"] =>
  new Map(
    WORKERS.map(
      (id, i) => [id, { block: flops[i]!, head: flops[i]!, overhead: 0, memory: Infinity }] as const,
    ),
  );

describe("a report of links", () => {
  const speeds = (mega: number, delay = 0.01, filled = true): Map<string, LinkFigure> =>
    new Map([["b-1", { bytesPerSecond: mega * 1e6, delay, filled }]]);

  test("tells all once in a generation, then what has changed clearly", () => {
    const report = new LinkReport();
    expect(report.due("run", 1, new Map())).toBeUndefined();
    expect(report.due("run", 1, speeds(1))).toEqual([
      { peer: "b-1", bytesPerSecond: 1e6, delay: 0.01, filled: true },
    ]);
    expect(report.due("run", 1, speeds(1.15))).toBeUndefined();
    // Against what was told, not against what was measured last: many small changes are a large one.
    expect(report.due("run", 1, speeds(1.3))).toHaveLength(1);
    expect(report.due("run", 1, speeds(1.3, 0.013))).toHaveLength(1);
    expect(report.due("run", 2, speeds(1.3, 0.013))).toHaveLength(1);
    expect(
      report.due("run", 2, new Map([...speeds(1.3, 0.013), ["c-1", speeds(9).get("b-1")!]])),
    ).toHaveLength(2);
  });

  test("is made again in a run whose generation has the number of the last one's", () => {
    const report = new LinkReport();
    report.due("one", 1, speeds(1));
    expect(report.due("other", 1, speeds(1))).toHaveLength(1);
    expect(report.due("other", 1, speeds(1))).toBeUndefined();
  });

  test("a delay of microseconds that doubles is no news", () => {
    const report = new LinkReport();
    report.due("run", 1, speeds(1, 0.0002));
    expect(report.due("run", 1, speeds(1, 0.0009))).toBeUndefined();
  });
});

describe("a change of links that is no news", () => {
  const anyStrategy = fc.constantFrom(
    { kind: "sync" as const, gradients: "f32" as const },
    roundsStrategy({ inner: 4, overlap: 1 }),
  );
  const anyWorkers = fc.array(fc.constantFrom(1e7, 3e7, 1e8, 4e8), { minLength: 5, maxLength: 5 });
  /** Every pair's figure. */
  const pairs = WORKERS.flatMap((from) => WORKERS.filter((to) => to !== from).map((to) => ({ from, to })));
  const all = <T>(of: fc.Arbitrary<T>) => fc.array(of, { minLength: pairs.length, maxLength: pairs.length });

  test("makes no other plan worth a pause", () => {
    const factor = fc.double({ min: 1 / NEWS, max: NEWS, noNaN: true });
    fc.assert(
      fc.property(
        anyStrategy,
        anyWorkers,
        all(
          fc.record({ bytesPerSecond: fc.constantFrom(1e5, 1e6, 1e7), delay: fc.constantFrom(0.001, 0.03) }),
        ),
        all(fc.record({ rate: factor, delay: factor })),
        (strategy, flops, figures, changes) => {
          const config = tinyConfig({ batch: 16, strategy });
          const workers = speedsOf(flops);
          const measured = (of: (i: number) => LinkFigure): Measured => ({
            workers,
            ...linkSpeeds(
              SITES,
              pairs.map((pair, i) => ({ ...pair, generation: 1, speed: of(i) })),
            ),
          });
          const { plan } = planRun(
            config,
            SITES,
            measured((i) => ({ ...figures[i]!, filled: true })),
          );
          const now = measured((i) => ({
            bytesPerSecond: figures[i]!.bytesPerSecond * changes[i]!.rate,
            delay: figures[i]!.delay * changes[i]!.delay,
            filled: true,
          }));
          expect(
            isWorthAPause(plan, planRun(config, SITES, now), { occasion: "speeds", stepsLeft: 1e6 }),
          ).toBe(false);
        },
      ),
      { numRuns: 100 },
    );
  });
});
