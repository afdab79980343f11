// From times to speeds: exact times give the speeds they were made with, others give something usable.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { fitSpeed, refineSpeed, secondsOf, TIMES, type TimedWork } from "../../core/plan/fit-speed.ts";
import { WorkerSpeed } from "../../core/plan/speed.ts";
import { SpeedEstimate } from "../../web/worker/speed-estimate.ts";

/** From a phone to a data centre's GPU. */
const rate = fc.double({ min: 8, max: 14, noNaN: true }).map((exponent) => 10 ** exponent);

/** A block, and a block with the head, at two sizes; of about as much as takes the speeds some milliseconds. */
function works(block: number, head: number): TimedWork[] {
  return [0.003, 0.03].flatMap((seconds) => [
    { block: seconds * block, head: 0, passes: 2 },
    { block: seconds * block, head: 0.6 * seconds * head, passes: 2 },
  ]);
}

describe("fitSpeed", () => {
  test("finds the speeds that the times come from", () => {
    fc.assert(
      fc.property(rate, rate, fc.double({ min: 0, max: 0.01, noNaN: true }), (block, head, overhead) => {
        const timings = works(block, head).map((work) => ({
          ...work,
          seconds: secondsOf(work, { block, head, overhead }),
        }));
        const found = fitSpeed(timings);
        expect(found.block / block).toBeCloseTo(1, 5);
        expect(found.head / head).toBeCloseTo(1, 5);
        expect(Math.abs(found.overhead - overhead)).toBeLessThan(1e-7);
      }),
    );
  });

  test("gives speeds above 0 whatever the noise, and explains the times within what that amounts to", () => {
    const noise = fc.double({ min: 0.2, max: 5, noNaN: true });
    fc.assert(
      fc.property(rate, rate, fc.tuple(noise, noise, noise, noise), (block, head, noises) => {
        const timings = works(block, head).map((work, i) => ({
          ...work,
          seconds: noises[i]! * secondsOf(work, { block, head, overhead: 0.001 }),
        }));
        const found = fitSpeed(timings);
        expect(WorkerSpeed.safeParse({ ...found, memory: 1 })).toMatchObject({ success: true });
      }),
    );
  });

  test("without any overhead to see, there is none", () => {
    const found = fitSpeed([
      { block: 1e9, head: 0, passes: 2, seconds: 1 },
      { block: 1e9, head: 1e9, passes: 2, seconds: 3 },
      { block: 1e10, head: 0, passes: 2, seconds: 11 },
      { block: 1e10, head: 1e10, passes: 2, seconds: 33 },
    ]);
    expect(found.overhead).toBe(0);
    expect(found.block / found.head).toBeCloseTo(2, 5);
  });
});

const speed = fc.record({
  block: rate,
  head: rate,
  overhead: fc.double({ min: 0, max: 0.01, noNaN: true }),
  memory: fc.constant(1e9),
});

describe("refineSpeed", () => {
  const work = { block: 1e10, head: 1e9, passes: 8 };
  const factor = fc.double({ min: 0.1, max: 10, noNaN: true });
  const timing = (speed: WorkerSpeed, factor: number) => ({
    ...work,
    seconds: factor * secondsOf(work, speed),
  });

  test("explains the time in the middle of the last five, whatever the others are", () => {
    fc.assert(
      fc.property(speed, fc.array(factor, { minLength: TIMES, maxLength: 9 }), (speed, factors) => {
        const middle = factors.slice(-TIMES).sort((a, b) => a - b)[2]!;
        const refined = refineSpeed(
          speed,
          factors.map((one) => timing(speed, one)),
        );
        expect(secondsOf(work, refined) / timing(speed, middle).seconds).toBeCloseTo(1, 9);
        expect(refined.block / refined.head).toBeCloseTo(speed.block / speed.head, 9);
      }),
    );
  });

  test("two times are not enough to say otherwise", () => {
    fc.assert(
      fc.property(speed, fc.array(factor, { maxLength: 2 }), (speed, factors) => {
        const refined = refineSpeed(
          speed,
          factors.map((one) => timing(speed, one)),
        );
        expect(secondsOf(work, refined) / secondsOf(work, speed)).toBeCloseTo(1, 9);
      }),
    );
  });
});

describe("SpeedEstimate", () => {
  const step = { block: 3e9, head: 1e9, passes: 16, seconds: 2 };

  test("a step without a probe before says what it can; a probe that comes later is too late", () => {
    const estimate = new SpeedEstimate();
    expect(estimate.speed).toBe(null);
    estimate.trained({ ...step, seconds: 0 });
    expect(estimate.speed).toBe(null);
    estimate.trained(step);
    expect(estimate.speed).toMatchObject({ block: 2e9, head: 2e9, overhead: 0 });
    estimate.probed({ block: 1, head: 1, overhead: 1 });
    expect(estimate.speed!.block).toBe(2e9);
  });

  test("one step that stands out changes nothing; three in a row are a new speed", () => {
    const estimate = new SpeedEstimate();
    for (let i = 0; i < 5; i++) estimate.trained(step);
    estimate.trained({ ...step, seconds: 20 });
    expect(estimate.speed!.block).toBe(2e9);
    for (let i = 0; i < 3; i++) estimate.trained({ ...step, seconds: 8 });
    expect(estimate.speed!.block).toBeCloseTo(5e8, 0);
  });
});
