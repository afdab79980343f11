// The codecs of blocks: their layout to the bit, and what they keep of values of every kind.
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decode, encode, encodedBytes, type Codec } from "../../core/reduce/codec.ts";
import { SAMPLE_LENGTHS, SAMPLES, sampleValues, type Sample } from "../fixtures/samples.ts";

const samples = fc.constantFrom(...(Object.keys(SAMPLES) as Sample[]));
const lengths = fc.oneof(fc.constantFrom(...SAMPLE_LENGTHS), fc.integer({ min: 1, max: 9000 }));
const drawn = fc.tuple(samples, lengths, fc.nat());

const bytesOf = (codec: Codec, values: Float32Array): Uint8Array<ArrayBuffer> => {
  const { buffer, byteOffset, byteLength } = encode(codec, values);
  return new Uint8Array(buffer as ArrayBuffer, byteOffset, byteLength);
};
const arrived = (codec: Codec, values: Float32Array) => decode(codec, bytesOf(codec, values), values.length);
const blocksOf = (values: Float32Array) =>
  Array.from({ length: Math.ceil(values.length / 4096) }, (_, b) =>
    values.subarray(4096 * b, 4096 * (b + 1)),
  );
const largestOf = (block: Float32Array) => block.reduce((most, value) => Math.max(most, Math.abs(value)), 0);

test.each<[Codec, number, number]>([
  ["int8", 4096, 4100],
  ["int8", 4097, 4108],
  ["int8", 3, 8],
  ["int4", 4096, 2052],
  ["int4", 4105, 2052 + 12],
  ["topk", 4096, 116],
  ["topk", 1, 12],
  ["topk", 4096 + 65, 116 + 12],
  ["sign", 4096, 516],
  ["sign", 4096 + 33, 516 + 12],
])("%s: %i values take %i bytes", (codec, count, bytes) => {
  expect(encodedBytes(codec, count)).toBe(bytes);
});

test("the bytes of a few values", () => {
  // 1016 / 127 = 8 is 0x4100; 20 / 8 and 12 / 8 are ties, rounded to 2.
  expect([...bytesOf("int8", Float32Array.of(1016, -8, 20, 12, -12))]).toEqual([
    0, 0, 0, 0x41, 127, 255, 2, 2, 254, 0, 0, 0,
  ]);
  // 7 / 7 = 1 is 0x3f80; the first of two in the low half of a byte.
  expect([...bytesOf("int4", Float32Array.of(7, -1, 2.4))]).toEqual([0, 0, 0x80, 0x3f, 0xf7, 0x02, 0, 0]);
  // 2 of 65 are kept: -1 at 5 (below) and 2 at 64 (above their middle). 64 is 0x040: "005" and "040" from the right.
  const sparse = new Float32Array(65);
  sparse[5] = -1;
  sparse[64] = 2;
  sparse[9] = 0.9;
  expect([...bytesOf("topk", sparse)]).toEqual([
    0x80, 0x3f, 0x00, 0x40, 0x05, 0x00, 0x04, 0x00, 0b1001, 0, 0, 0,
  ]);
  expect([...arrived("topk", sparse)].filter((value) => value !== 0)).toEqual([-1.25, 1.75]);
  // The mean of 1, 2, 0 and 3 is 1.5, 0x3fc00000; the second and the last are below zero.
  expect([...bytesOf("sign", Float32Array.of(1, -2, 0, -3))]).toEqual([0, 0, 0xc0, 0x3f, 0b1010, 0, 0, 0]);
  expect([...arrived("sign", Float32Array.of(1, -2, 0, -3))]).toEqual([1.5, -1.5, 1.5, -1.5]);
});

describe.each([
  ["int8", 127],
  ["int4", 7],
] as const)("%s", (codec, most) => {
  test("every value is the nearest multiple of its block's scale, ties to even, and the scale fits the largest", () => {
    fc.assert(
      fc.property(drawn, ([sample, length, seed]) => {
        const values = sampleValues(sample, length, seed);
        const decoded = arrived(codec, values);
        const heads = new Uint32Array(bytesOf(codec, values).buffer);
        blocksOf(values).forEach((block, b) => {
          const got = decoded.subarray(4096 * b, 4096 * b + block.length);
          const head = heads[(b * encodedBytes(codec, 4096)) / 4]!;
          const largest = largestOf(block);
          if (!(largest < 2 ** 120)) return expect(got.every(Number.isNaN)).toBe(true);
          if (largest < 2 ** -90) return expect(head === 0 && got.every((value) => value === 0)).toBe(true);
          const scale = new Float32Array(Uint32Array.of(head).buffer)[0]!;
          expect(head & 0xffff).toBe(0);
          expect(scale).toBeGreaterThanOrEqual(largest / most);
          expect(scale).toBeLessThanOrEqual((largest / most) * (1 + 2 ** -7));
          block.forEach((value, i) => {
            const integer = got[i]! / scale;
            const off = Math.abs(value / scale - integer);
            // Said without `expect`, which takes a microsecond for each of millions.
            const nearest = off < 0.5 || (off === 0.5 && integer % 2 === 0);
            if (!nearest || !Number.isInteger(integer) || Math.abs(integer) > most) {
              expect.fail(`${value} at ${4096 * b + i} became ${got[i]}, the scale being ${scale}`);
            }
          });
        });
      }),
    );
  });
});

test("topk keeps the largest, the first of equals, at the nearer of two levels between their bounds", () => {
  fc.assert(
    fc.property(drawn, ([sample, length, seed]) => {
      const values = sampleValues(sample, length, seed);
      const decoded = arrived("topk", values);
      blocksOf(values).forEach((block, b) => {
        const got = decoded.subarray(4096 * b, 4096 * b + block.length);
        const largest = largestOf(block);
        if (!(largest < 2 ** 120)) return expect(got.every(Number.isNaN)).toBe(true);
        if (largest < 2 ** -90) return expect(got.every((value) => value === 0)).toBe(true);
        const size = (i: number) => Math.abs(block[i]!);
        const kept = [...block.keys()]
          .sort((i, j) => size(j) - size(i) || i - j)
          .slice(0, Math.ceil(block.length / 64))
          .filter((i) => size(i) >= largest / 4);
        const expected = new Float32Array(block.length);
        const [lo, hi] = [bfloat16(size(kept.at(-1)!), "down"), bfloat16(largest, "up")];
        for (const i of kept) {
          const level = size(i) > (lo + hi) / 2 ? (lo + 3 * hi) / 4 : (3 * lo + hi) / 4;
          expected[i] = level * Math.sign(block[i]!);
        }
        expect(got).toEqual(expected);
      });
    }),
  );
});

test("sign makes of every value its sign and its block's mean magnitude", () => {
  fc.assert(
    fc.property(drawn, ([sample, length, seed]) => {
      const values = sampleValues(sample, length, seed);
      const decoded = arrived("sign", values);
      blocksOf(values).forEach((block, b) => {
        const got = decoded.subarray(4096 * b, 4096 * b + block.length);
        const largest = largestOf(block);
        if (!(largest < 2 ** 120)) return expect(got.every(Number.isNaN)).toBe(true);
        if (largest < 2 ** -90) return expect(got.every((value) => Object.is(value, 0))).toBe(true);
        const mean = block.reduce((sum, value) => sum + Math.abs(value), 0) / block.length;
        // Each magnitude is cut to 18 bits of the largest, and so is their mean.
        expect(Math.abs(got[0]!)).toBeLessThanOrEqual(mean);
        expect(Math.abs(got[0]!)).toBeGreaterThan(mean - 2 * largest * 2 ** -17);
        const expected = block.map(
          (value) => (value < 0 || Object.is(value, -0) ? -1 : 1) * Math.abs(got[0]!),
        );
        expect(got).toEqual(expected);
      });
    }),
  );
});

/** The next number with 8 significant bits. */
function bfloat16(value: number, direction: "up" | "down"): number {
  const unit = 2 ** (Math.floor(Math.log2(value)) - 7);
  return (direction === "up" ? Math.ceil(value / unit) : Math.floor(value / unit)) * unit;
}
