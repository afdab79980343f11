// Random numbers: pinned values, since every machine of every run must draw the same, and their distribution.
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { hashText, Random } from "../../core/random.ts";

function draw(seed: number): number[] {
  const random = new Random(seed);
  return Array.from({ length: 20 }, () => random.next());
}

describe("Random", () => {
  test("values that must never change", () => {
    const random = new Random(1);
    expect([random.next(), random.next(), random.next()]).toEqual([2527132011, 314344336, 2535364964]);
    expect(new Random(1).below(1_000_000)).toBe(588393);
    expect(new Random(1).unit()).toBe(2527132011 / 2 ** 32);
  });

  test("the same seed gives the same numbers, other seeds others", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 0xfffffffe }), (seed) => {
        expect(draw(seed)).toEqual(draw(seed));
        expect(draw(seed)).not.toEqual(draw(seed + 1));
      }),
    );
  });

  test("ranges", () => {
    fc.assert(
      fc.property(fc.integer(), fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }), (seed, n) => {
        const random = new Random(seed);
        const whole = random.next();
        expect(whole).toBe(whole >>> 0);
        const unit = random.unit();
        expect(unit >= 0 && unit < 1).toBe(true);
        const below = random.below(n);
        expect(Number.isInteger(below) && below >= 0 && below < n).toBe(true);
      }),
    );
  });

  test("every bit is one about half of the time, and every value below 10 comes about as often", () => {
    const random = new Random(2);
    const draws = 20_000;
    const ones = Array.from({ length: 32 }, () => 0);
    const counts = Array.from({ length: 10 }, () => 0);
    for (let i = 0; i < draws; i++) {
      const bits = random.next();
      for (let bit = 0; bit < 32; bit++) ones[bit] += (bits >>> bit) & 1;
      counts[random.below(10)]++;
    }
    // Five standard deviations of a binomial count; the seed is fixed, so this never varies.
    for (const count of ones) expect(Math.abs(count - draws / 2)).toBeLessThan(5 * Math.sqrt(draws / 4));
    for (const count of counts) {
      expect(Math.abs(count - draws / 10)).toBeLessThan(5 * Math.sqrt(draws * 0.09));
    }
  });
});

describe("hashText", () => {
  test("values that must never change", () => {
    expect(["", "a", "1/1/0", "1/1/1"].map(hashText)).toEqual([
      2872998923, 444641715, 1066131531, 1128877712,
    ]);
  });

  test("neighbouring texts give unlike hashes", () => {
    const hashes = Array.from({ length: 2000 }, (_, i) => hashText(`1/5/${i}`));
    expect(new Set(hashes).size).toBe(hashes.length);
    const flipped = hashes.slice(1).map((hash, i) => {
      let difference = hash ^ hashes[i];
      let bits = 0;
      for (; difference !== 0; difference >>>= 1) bits += difference & 1;
      return bits;
    });
    const mean = flipped.reduce((sum, bits) => sum + bits, 0) / flipped.length;
    expect(mean).toBeGreaterThan(15);
    expect(mean).toBeLessThan(17);
  });
});
