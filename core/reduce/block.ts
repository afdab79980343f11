// What the codecs of blocks share: how many values a block has, how the largest of them is found, and which blocks
// are said in full.
// Not here: what becomes of the values (block-integers.ts, top-k.ts, signs.ts). shaders/parts/block.wgsl is the same on a GPU.

/** Values that share a scale. */
export const BLOCK = 4096;

/**
 * Bits of 2^-90. A block whose largest magnitude is smaller is sent as zeros: GPUs take subnormal numbers for zeros,
 * and from here on no scale, level or remainder is one.
 */
export const SMALLEST = (127 - 90) << 23;
/** Bits of 2^120. A block with a value so large, infinity and NaN among them, is not a number when decoded. */
export const TOO_LARGE = (127 + 120) << 23;

/** The bfloat16 that marks a block that is not a number. */
export const NOT_A_NUMBER = 0x7fc0;

/** Bytes that `count` values take in blocks of which one of `size` values takes `blockBytes(size)`. */
export function bytesInBlocks(count: number, blockBytes: (size: number) => number): number {
  const rest = count % BLOCK;
  return Math.floor(count / BLOCK) * blockBytes(BLOCK) + (rest > 0 ? blockBytes(rest) : 0);
}

/** The same memory, as bits. */
export const bitsOf = (values: Float32Array): Uint32Array =>
  new Uint32Array(values.buffer, values.byteOffset, values.length);

/** The largest of a block's magnitudes, as the bits of an f32: those of NaN are the largest of all. */
export function largestMagnitude(bits: Uint32Array, start: number, end: number): number {
  let largest = 0;
  for (let i = start; i < end; i++) {
    const magnitude = bits[i]! & 0x7fffffff;
    if (magnitude > largest) largest = magnitude;
  }
  return largest;
}

/** The number that a bfloat16 says. */
export function fromBfloat16(upper: number): number {
  singleBits[0] = upper << 16;
  return single[0]!;
}

const single = new Float32Array(1);
const singleBits = new Uint32Array(single.buffer);
