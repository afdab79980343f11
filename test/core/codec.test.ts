// Codecs: how far off what arrives may be, and that nothing broken arrives whole.
// Not here: the layout of blocks (block-codecs.test.ts).
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { floatToHalf, fromHalves, halfToFloat, toHalves } from "../../core/formats/half.ts";
import { CODECS, decode, encode, encodedBytes, type Codec } from "../../core/reduce/codec.ts";

const finite = fc.float({ noNaN: true, noDefaultInfinity: true, min: -1000, max: 1000 });
const values = fc.array(finite, { maxLength: 300 }).map((array) => Float32Array.from(array));

/** What `sent` is after the wire, whatever it lies behind in its buffer. */
function arrived(codec: Codec, sent: Float32Array, before = 0): Float32Array {
  const { buffer, byteOffset, byteLength } = encode(codec, sent);
  const received = new Uint8Array(before + byteLength);
  received.set(new Uint8Array(buffer, byteOffset, byteLength), before);
  return decode(codec, received.subarray(before), sent.length);
}

describe("binary16", () => {
  test("every one of the 65,536 comes back from its number", () => {
    for (let bits = 0; bits < 0x10000; bits++) {
      const number = halfToFloat(bits);
      if (Number.isNaN(number)) expect(floatToHalf(number) & 0x7fff).toBe(0x7e00);
      else expect(floatToHalf(number)).toBe(bits);
    }
    const all = Uint16Array.from({ length: 0x10000 }, (_, bits) => bits);
    expect(fromHalves(all)).toEqual(Float32Array.from(all, halfToFloat));
    const numbers = all.filter((bits) => !Number.isNaN(halfToFloat(bits)));
    expect(toHalves(fromHalves(numbers))).toEqual(numbers);
  });

  test("rounds to the nearest, ties to even", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 0x7bfe }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (bits, t) => {
          const [low, high] = [halfToFloat(bits), halfToFloat(bits + 1)];
          const value = Math.fround(low + t * (high - low));
          const middle = (low + high) / 2;
          const even = bits % 2 === 0 ? bits : bits + 1;
          const expected = value < middle ? bits : value > middle ? bits + 1 : even;
          expect(floatToHalf(value)).toBe(expected);
          expect(floatToHalf(-value)).toBe(expected | 0x8000);
        },
      ),
      { numRuns: 2000 },
    );
  });

  test("what is too large is infinite", () => {
    expect([65519, 65520, Infinity, -1e9].map(floatToHalf)).toEqual([0x7bff, 0x7c00, 0x7c00, 0xfc00]);
  });
});

describe.each(CODECS)("%s", (codec) => {
  test("takes the bytes it says, and arrives within its precision, at any place in a buffer", () => {
    fc.assert(
      fc.property(values, fc.integer({ min: 0, max: 9 }), (sent, before) => {
        expect(encode(codec, sent).byteLength).toBe(encodedBytes(codec, sent.length));
        const largest = sent.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
        arrived(codec, sent, before).forEach((value, i) => {
          const exact = sent[i]!;
          const off = {
            f32: 0,
            f16: Math.max(Math.abs(exact) * 2 ** -11, 2 ** -25),
            // A scale is up to 2^-7 larger than it must be; the smallest blocks are zeros.
            int8: Math.max((largest / 127 / 2) * (1 + 2 ** -7), 2 ** -90),
            int4: Math.max((largest / 7 / 2) * (1 + 2 ** -7), 2 ** -90),
            topk: largest,
            // Small ones may become the mean magnitude.
            sign: largest,
          };
          expect(Math.abs(value - exact)).toBeLessThanOrEqual(off[codec]);
        });
      }),
    );
  });

  test.each([NaN, Infinity, -Infinity])("%s does not turn into a number", (broken) => {
    for (const place of [0, 4095, 4096, 5000]) {
      const sent = new Float32Array(5001).fill(1);
      sent[place] = broken;
      expect(arrived(codec, sent).every(Number.isFinite)).toBe(false);
    }
  });

  test("zeros, and nothing", () => {
    expect([...arrived(codec, new Float32Array(3))]).toEqual([0, 0, 0]);
    expect(arrived(codec, new Float32Array(0)).length).toBe(0);
  });

  test("bytes that are too few or too many are refused", () => {
    expect(() => decode(codec, new Uint8Array(encodedBytes(codec, 5) + 1), 5)).toThrow(/5 values as/);
  });
});

test("int8 keeps blocks apart: a large value blurs only its own", () => {
  const sent = new Float32Array(8192).fill(0.5);
  sent[0] = 1000;
  const received = arrived("int8", sent);
  expect(received[4095]).toBe(0);
  expect(received[4096]).toBeCloseTo(0.5, 3);
});
