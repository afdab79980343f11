// Values as small integers, blocks of 4096 sharing a scale: 8 bits from -127 to 127, or 4 bits from -7 to 7.
//
// A block is a 32-bit word, then its integers, the last word filled up with zeros. The word's upper half is the scale
// as a bfloat16 (so the word is also its f32), the lower half 0. No two blocks share a word: a GPU writes each from a
// workgroup of its own. Integers are in two's complement; of two 4-bit ones in a byte the first is the lower.
//
// Every browser and GPU finds the same bits (shaders/block-integers.wgsl): a scale comes from whole numbers alone and
// has 8 significant bits, an integer is the one nearest to value / scale, ties to even, and integer * scale has no more
// than 15 bits, so that neither it nor value - integer * scale is ever rounded.
import {
  BLOCK,
  bitsOf,
  bytesInBlocks,
  fromBfloat16,
  largestMagnitude,
  NOT_A_NUMBER,
  SMALLEST,
  TOO_LARGE,
} from "./block.ts";

export type IntegerBits = 8 | 4;

/** Bytes of a block of `size` values. */
const blockBytes = (bits: IntegerBits, size: number): number => 4 + 4 * Math.ceil((size * bits) / 32);

/** Bytes that `count` values take. */
export function integerBytes(bits: IntegerBits, count: number): number {
  return bytesInBlocks(count, (size) => blockBytes(bits, size));
}

export function encodeIntegers(bits: IntegerBits, values: Float32Array): Uint8Array<ArrayBuffer> {
  const buffer = new ArrayBuffer(integerBytes(bits, values.length));
  const heads = new Uint32Array(buffer);
  const integers = new Int8Array(buffer);
  const valueBits = bitsOf(values);
  for (let start = 0, at = 0; start < values.length; start += BLOCK, at += blockBytes(bits, BLOCK)) {
    const end = Math.min(start + BLOCK, values.length);
    const scale = scaleOf(bits, largestMagnitude(valueBits, start, end));
    heads[at / 4] = scale << 16;
    if (scale === 0 || scale === NOT_A_NUMBER) continue;
    if (bits === 8) roundToBytes(values, start, end, fromBfloat16(scale), integers, at + 4);
    else roundToNibbles(values, start, end, fromBfloat16(scale), integers, at + 4);
  }
  return new Uint8Array(buffer);
}

/** `bytes`: as many as `count` values take, at a multiple of 4 in their buffer. */
export function decodeIntegers(
  bits: IntegerBits,
  bytes: Uint8Array,
  count: number,
): Float32Array<ArrayBuffer> {
  const heads = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
  const integers = new Int8Array(bytes.buffer, bytes.byteOffset, bytes.length);
  const values = new Float32Array(count);
  for (let start = 0, at = 0; start < count; start += BLOCK, at += blockBytes(bits, BLOCK)) {
    const end = Math.min(start + BLOCK, count);
    const scale = fromBfloat16(heads[at / 4]! >>> 16);
    if (bits === 8) {
      for (let i = start, byte = at + 4; i < end; i++, byte++) values[i] = integers[byte]! * scale;
    } else {
      for (let i = start, byte = at + 4; i < end; i += 2, byte++) {
        const pair = integers[byte]!;
        values[i] = ((pair << 28) >> 28) * scale;
        if (i + 1 < end) values[i + 1] = (pair >> 4) * scale;
      }
    }
  }
  return values;
}

/**
 * The bfloat16 next above largest / 127 (or 7), 0 for a block of zeros. Rounded up, so that no integer is too large;
 * with a significand of 128 to 255, the quotient of whole numbers.
 */
function scaleOf(bits: IntegerBits, largest: number): number {
  if (largest < SMALLEST) return 0;
  if (largest >= TOO_LARGE) return NOT_A_NUMBER;
  const most = 2 ** (bits - 1) - 1;
  const significand = (largest & 0x7fffff) | 0x800000;
  // most + 1 is 2^(bits - 1): with that as divisor the scale would be the largest with a lower exponent, its significand
  // cut by 16 bits. Divided by a little less it may reach the next exponent.
  let exponent = (largest >>> 23) - (bits - 1);
  let unit = (most * 2 ** 16) / (most + 1);
  if (significand > 255 * unit) {
    unit *= 2;
    exponent++;
  }
  return (exponent << 7) | (Math.ceil(significand / unit) - 128);
}

/** Adding it to a number below 2^51 leaves no room for a fraction: rounded to the nearest, ties to even. */
const WHOLE = 1.5 * 2 ** 52;

// value / scale is in f64, where no quotient that is not a tie is rounded to one: 24 bits by 8.

function roundToBytes(
  values: Float32Array,
  start: number,
  end: number,
  scale: number,
  integers: Int8Array,
  at: number,
): void {
  for (let i = start; i < end; i++) integers[at + i - start] = values[i]! / scale + WHOLE - WHOLE;
}

function roundToNibbles(
  values: Float32Array,
  start: number,
  end: number,
  scale: number,
  integers: Int8Array,
  at: number,
): void {
  const even = start + ((end - start) & ~1);
  let byte = at;
  for (let i = start; i < even; i += 2, byte++) {
    const first = values[i]! / scale + WHOLE - WHOLE;
    const second = values[i + 1]! / scale + WHOLE - WHOLE;
    integers[byte] = (first & 15) | (second << 4);
  }
  if (even < end) integers[byte] = (values[even]! / scale + WHOLE - WHOLE) & 15;
}
