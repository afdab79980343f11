// Nothing but signs, blocks of 4096 values sharing a magnitude: their mean (Seide et al., 2014; Karimireddy et al., 2019).
// Of little use without error feedback (error-feedback.ts).
//
// A block is a 32-bit word, the f32 of its mean magnitude, then a bit a value from the lowest up, 1 for what is below
// zero, the last word filled up with zeros: 516 bytes a full block. Zero counts as above. A block of zeros has 0 as its
// magnitude, one that is not a number NaN, and either no signs.
//
// Every browser and GPU finds the same bits (shaders/signs.wgsl): magnitudes are added as whole numbers of 18 bits, in
// 2^-17 of the largest one's power of two, so their sum does not depend on the order and the mean, rounded down, has at
// most 18 bits. value - decoded value, a site's own remainder, is one subtraction.
import {
  BLOCK,
  bitsOf,
  bytesInBlocks,
  largestMagnitude,
  NOT_A_NUMBER,
  SMALLEST,
  TOO_LARGE,
} from "./block.ts";

/** Of a significand of 24 bits, how many the sum does without. */
const CUT_BITS = 6;
/** The exponent of a mean's lowest bit is so much below that of the block's largest value. */
const UNIT_BELOW = 17;

/** 32-bit words of a block of `size` values. */
const blockWords = (size: number): number => 1 + Math.ceil(size / 32);

/** Bytes that `count` values take. */
export function signBytes(count: number): number {
  return bytesInBlocks(count, (size) => 4 * blockWords(size));
}

export function encodeSigns(values: Float32Array): Uint8Array<ArrayBuffer> {
  const words = new Uint32Array(signBytes(values.length) / 4);
  const bits = bitsOf(values);
  for (let start = 0, at = 0; start < bits.length; start += BLOCK, at += blockWords(BLOCK)) {
    const block = bits.subarray(start, start + BLOCK);
    const largest = largestMagnitude(block, 0, block.length);
    if (largest >= TOO_LARGE) words[at] = NOT_A_NUMBER << 16;
    if (largest < SMALLEST || largest >= TOO_LARGE) continue;
    words[at] = meanMagnitude(block, largest >>> 23);
    for (let i = 0; i < block.length; i++) words[at + 1 + (i >> 5)]! |= (block[i]! >>> 31) << (i & 31);
  }
  return new Uint8Array(words.buffer);
}

/** `bytes`: as many as `count` values take, at a multiple of 4 in their buffer. */
export function decodeSigns(bytes: Uint8Array, count: number): Float32Array<ArrayBuffer> {
  const words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
  const values = new Float32Array(count);
  const bits = bitsOf(values);
  for (let start = 0, at = 0; start < count; start += BLOCK, at += blockWords(BLOCK)) {
    const magnitude = words[at]!;
    const size = Math.min(BLOCK, count - start);
    for (let i = 0; i < size; i++) {
      bits[start + i] = magnitude | (((words[at + 1 + (i >> 5)]! >>> (i & 31)) & 1) << 31);
    }
  }
  return values;
}

/** The bits of the block's mean magnitude; `exponent`: of its largest value, as f32 has it. */
function meanMagnitude(block: Uint32Array, exponent: number): number {
  let sum = 0;
  for (const bits of block) {
    const own = (bits >>> 23) & 0xff;
    const below = exponent - own;
    // Subnormal numbers are far below what is sent at all.
    if (own > 0 && below < 32) sum += (((bits & 0x7fffff) | 0x800000) >>> CUT_BITS) >>> below;
  }
  single[0] = Math.floor(sum / block.length) * 2 ** (exponent - 127 - UNIT_BELOW);
  return singleBits[0]!;
}

const single = new Float32Array(1);
const singleBits = new Uint32Array(single.buffer);
