// How many lanes a link comes to use, on paths of which the test knows what lanes carry.
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { LaneTuner, SAMPLE_MS } from "../../web/link/lane-tuner.ts";

/** Keeps the buffers full for a while; a lane that is wanted is there `openMs` later. */
function transfer(
  tuner: LaneTuner,
  seconds: number,
  rate: (lanes: number) => number,
  openMs = 400,
): number[] {
  const used: number[] = [];
  let lanes = 1;
  let opening = 0;
  for (let ms = 0; ms < seconds * 1000; ms += SAMPLE_MS) {
    if (lanes < tuner.wanted && (opening += SAMPLE_MS) > openMs) [lanes, opening] = [tuner.wanted, 0];
    const used_ = Math.min(lanes, tuner.wanted);
    tuner.add({ ms: SAMPLE_MS, bytes: rate(used_) * SAMPLE_MS, busy: true, lanes });
    used.push(tuner.wanted);
  }
  return used;
}

test("where each lane carries its part, as many as may be come to be used", () => {
  const tuner = new LaneTuner(8);
  transfer(tuner, 16, (lanes) => 400 * lanes);
  expect(tuner.wanted).toBe(8);
});

test("where lanes share what the path carries, as many as fill it", () => {
  const tuner = new LaneTuner(8);
  transfer(tuner, 20, (lanes) => Math.min(2200, 1000 * lanes));
  // Eight brought nothing over four, four a tenth over two.
  expect([2, 4]).toContain(tuner.wanted);
});

test("where more lanes do not help or are worse it settles on one, and looks again only later", () => {
  for (const rate of [() => 15_000, (lanes: number) => 15_000 / lanes]) {
    const used = transfer(new LaneTuner(8), 30, rate);
    expect(used.filter((lanes) => lanes > 1).length).toBeLessThan(used.length / 4);
    expect(used.at(-1)).toBe(1);
    expect(Math.max(...used)).toBe(2);
  }
});

test("lanes that do not open are given up", () => {
  const tuner = new LaneTuner(8);
  transfer(tuner, 30, () => 1000, Infinity);
  expect(tuner.wanted).toBe(1);
});

test("short transfers add up; an idle link does nothing", () => {
  const tuner = new LaneTuner(8);
  for (let i = 0; i < 20; i++) {
    transfer(tuner, 1, (lanes) => 400 * lanes, 0);
    tuner.add({ ms: SAMPLE_MS, bytes: 0, busy: false, lanes: 8 });
  }
  expect(tuner.wanted).toBe(8);
  const idle = new LaneTuner(8);
  for (let i = 0; i < 100; i++) idle.add({ ms: SAMPLE_MS, bytes: 0, busy: false, lanes: 1 });
  expect(idle.wanted).toBe(1);
});

test("a link of one lane stays at one", () => {
  const tuner = new LaneTuner(1);
  transfer(tuner, 10, (lanes) => 400 * lanes);
  expect(tuner.wanted).toBe(1);
});

test("whatever is measured, a power of two up to the most is wanted", () => {
  const sample = fc.record({
    ms: fc.nat(2000),
    bytes: fc.nat(1e7),
    busy: fc.boolean(),
    lanes: fc.nat(9),
  });
  fc.assert(
    fc.property(fc.array(sample, { maxLength: 200 }), (samples) => {
      const tuner = new LaneTuner(8);
      for (const one of samples) {
        tuner.add(one);
        expect([1, 2, 4, 8]).toContain(tuner.wanted);
      }
    }),
  );
});
