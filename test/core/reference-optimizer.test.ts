// The float64 reference's AdamW and clipping against calculations by hand.
import { describe, expect, test } from "vitest";
import { adamW, clipFactor, squaredNorm } from "../../core/model/reference/optimizer.ts";
import { expectClose } from "../fixtures/arrays.ts";

const array = (...values: number[]) => Float64Array.from(values);

describe("AdamW", () => {
  const settings = { lr: 0.1, beta1: 0.5, beta2: 0.75, eps: 1, weightDecay: 0.2 };

  test("two updates calculated by hand", () => {
    const start = { parameters: array(10), first: array(0), second: array(0) };
    // m = 0.5 * 4, v = 0.25 * 16; corrected 4 and 16; p = 10 - 0.1 * 0.2 * 10 - 0.1 * 4 / (4 + 1).
    const one = adamW(start, array(4), { ...settings, step: 1 });
    expect([...one.first, ...one.second]).toEqual([2, 4]);
    expectClose(one.parameters, [9.72], { relative: 1e-14 });
    // m = 0.5 * 2 + 0.5 * -2, v = 0.75 * 4 + 0.25 * 4; corrected 0 and 4 / (1 - 0.5625): only decay is left.
    const two = adamW(one, array(-2), { ...settings, step: 2 });
    expect([...two.first, ...two.second]).toEqual([0, 4]);
    expectClose(two.parameters, [9.72 * 0.98], { relative: 1e-14 });
    // m = 0.5 * 0 + 0.5 * 7, v = 0.75 * 4 + 0.25 * 49; corrected by 1 - 1/8 and 1 - 27/64.
    const three = adamW(two, array(7), { ...settings, step: 3 });
    const [mean, meanSquare] = [3.5 / (7 / 8), 15.25 / (37 / 64)];
    expectClose(three.parameters, [9.72 * 0.98 * 0.98 - (0.1 * mean) / (Math.sqrt(meanSquare) + 1)], {
      relative: 1e-14,
    });
    expect([...start.parameters, ...start.first, ...start.second]).toEqual([10, 0, 0]);
  });

  test("the first step moves by the learning rate against the gradient's sign, however large it is", () => {
    const start = { parameters: array(0, 0), first: array(0, 0), second: array(0, 0) };
    const { parameters } = adamW(start, array(1e-3, -1e5), { ...settings, eps: 1e-12, step: 1 });
    expectClose(parameters, [-0.1, 0.1], { relative: 1e-8 });
  });
});

test("squared norm sums squares", () => {
  expect(squaredNorm(array(3, -4))).toBe(25);
  expect(squaredNorm(array())).toBe(0);
});

test("clip factor scales a longer gradient to the limit and leaves a shorter one, zero included", () => {
  expect(clipFactor(8, 2)).toBe(0.25);
  expect(clipFactor(2, 2)).toBe(1);
  expect(clipFactor(0.5, 2)).toBe(1);
  expect(clipFactor(0, 2)).toBe(1);
});
