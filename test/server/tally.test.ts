import { expect, test } from "vitest";
import { Tally } from "../../server/tally.ts";

const ready = (waited: number, exposed: number, wide: number) => ({
  type: "ready" as const,
  generation: 1,
  step: 1,
  squaredNorm: 1,
  tokens: 1,
  times: { passed: 10, waited, exchanging: 4, exposed },
  bytes: { site: { activation: 5 }, wide: { reduce: wide, link: 1 } },
});

test("bytes are the newest counts, times add up", () => {
  const tally = new Tally();
  expect(tally.computing).toBeNull();
  expect(tally.overlapped).toBeNull();
  tally.take("a-1", ready(1, 0, 10));
  tally.take("a-1", ready(3, 2, 20));
  tally.take("b-1", ready(0, 1, 7));
  expect(tally.bytesBy("wide")).toEqual({ reduce: 27, link: 2 });
  expect(tally.byWorker()).toEqual({
    "a-1": { siteBytes: 5, wideBytes: 21, computing: 0.8 },
    "b-1": { siteBytes: 5, wideBytes: 8, computing: 1 },
  });
  expect(tally.computing).toBeCloseTo(1 - 4 / 30, 9);
  expect(tally.overlapped).toBeCloseTo(1 - 3 / 12, 9);
});

test("the last exchange counts, though no step comes after it", () => {
  const tally = new Tally();
  tally.take("a-1", ready(1, 0, 10));
  const times = { passed: 10, waited: 4, exchanging: 4, exposed: 4 };
  tally.take("a-1", { type: "released", generation: 1, times, bytes: { site: {}, wide: {} } });
  expect(tally.overlapped).toBe(0.5);
  expect(tally.computing).toBe(0.75);
});
