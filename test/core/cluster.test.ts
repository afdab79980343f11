// What a cluster file says, and a step drawn.
import { expect, test } from "vitest";
import { describeIssues } from "../../core/model/config.ts";
import { Cluster, habitsOf, measuredOf, variationsOf, workersOf } from "../../core/plan/cluster.ts";
import { timelineSvg, timelineText } from "../../core/plan/draw-timeline.ts";

test("a number of workers, or kinds of them with speeds, memory and links", () => {
  const cluster = Cluster.parse({
    sites: [
      { name: "a", workers: 2 },
      {
        name: "b",
        workers: [
          { count: 2, gflops: 9000, headGflops: 7000, overheadMs: 0.5, memory: "8 GB" },
          { gflops: 500 },
        ],
        link: { mbit: 1000, ms: 0.2 },
        wide: { mbit: 20, ms: 25 },
      },
    ],
  });
  expect([...workersOf(cluster)]).toEqual([
    ["a", ["a-1", "a-2"]],
    ["b", ["b-1", "b-2", "b-3"]],
  ]);
  const fast = { block: 9e12, head: 7e12, overhead: 0.0005, memory: 8e9 };
  const { workers, siteLinks, wideLinks } = measuredOf(cluster);
  expect([...workers]).toEqual([
    ["b-1", fast],
    ["b-2", fast],
    ["b-3", { block: 5e11, head: 5e11, overhead: 0, memory: Infinity }],
  ]);
  expect([...siteLinks]).toEqual([["b", { bytesPerSecond: 1.25e8, delay: 0.0002 }]]);
  expect([...wideLinks]).toEqual([["b", { bytesPerSecond: 2.5e6, delay: 0.025 }]]);
});

test("who comes and goes, with a speed or without, and which lines vary; a plan takes no notice", () => {
  const varies = { spread: 0.5, minutes: 10 };
  const cluster = Cluster.parse({
    sites: [
      {
        name: "a",
        workers: [{ count: 2, stays: 8, away: 0.5 }, { gflops: 3 }],
        wide: { mbit: 8, ms: 1, varies },
      },
      { name: "b", workers: 1, wide: { mbit: 8, ms: 1 } },
    ],
  });
  const habit = { stays: 28_800, away: 1800 };
  expect([...habitsOf(cluster)]).toEqual([
    ["a-1", habit],
    ["a-2", habit],
  ]);
  expect([...variationsOf(cluster)]).toEqual([["a", varies]]);
  const line = { bytesPerSecond: 1e6, delay: 0.001 };
  expect([...measuredOf(cluster).wideLinks]).toEqual([
    ["a", line],
    ["b", line],
  ]);
});

test.each([
  [{ name: "a", workers: 0 }, /^sites\.0\.workers: /],
  [{ name: "a", workers: 1e9 }, /^sites\.0\.workers: give at most 100000 workers$/],
  [{ name: "a", workers: [{ count: 1e9 }] }, /^sites\.0\.workers\.0\.count: give at most 100000 workers$/],
  [{ name: "a", workers: [{ count: 6e4 }, { count: 6e4 }] }, /^sites: give at most 100000 workers in all/],
  [
    { name: "a", workers: [{ gflops: 1, memory: "8" }] },
    /^sites\.0\.workers\.0\.memory: give a size such as '8 GB'/,
  ],
  [{ name: "a", workers: [{ gflops: 1, flops: 1 }] }, /^sites\.0\.workers\.0: .*flops/],
  [{ name: "a", workers: [{ memory: "8 GB" }] }, /^sites\.0\.workers\.0\.gflops: give gflops too/],
  [{ name: "a", workers: 1, link: { mbit: 0, ms: 1 } }, /^sites\.0\.link\.mbit: /],
  [{ name: "a", workers: [{ stays: 8 }] }, /^sites\.0\.workers\.0\.stays: give both stays and away/],
  [
    { name: "a", workers: 1, wide: { mbit: 1, ms: 1, varies: { spread: 9, minutes: 1 } } },
    /^sites\.0\.wide\.varies\.spread: give at most 3/,
  ],
])("%j is refused with the place", (site, message) => {
  const { error } = Cluster.safeParse({ sites: [site] });
  expect(describeIssues(error!)).toEqual([expect.stringMatching(message)]);
});

const timeline = [
  [
    { kind: "forward", index: 0, start: 0, end: 2 },
    { kind: "backward", index: 0, start: 6, end: 10 },
  ],
  [
    { kind: "forward", index: 0, start: 2, end: 4 },
    { kind: "input", index: 0, start: 4, end: 5 },
    { kind: "weights", index: 0, start: 5, end: 8 },
  ],
] as const;

test("a step as text has a letter for what takes most of each part", () => {
  expect(timelineText(timeline, 10, 10)).toEqual(["FF....BBBB", "..FFBWWW.."]);
  expect(timelineText(timeline, 10, 5)).toEqual(["F..BB", ".FBW."]);
});

test("a step as SVG has a bar for each operation and escapes names", () => {
  const svg = timelineSvg([{ title: "a<b", names: ["w&1", "w-2"], timeline }], 10);
  expect(svg.match(/<rect x=/g)).toHaveLength(5);
  expect(svg).toContain("a&lt;b");
  expect(svg).toContain("w&amp;1");
});
