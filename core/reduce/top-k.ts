// The largest 64 values of each block of 4096, with a sign and one of two levels (SparseLoCo, arXiv 2508.15706); all
// others are zeros. Of little use without error feedback (error-feedback.ts).
//
// A block of `size` values is sent as K = ceil(size / 64) entries: a 32-bit word, then the entries' indices in the
// block, 12 bits each, then their codes, 2 bits each, indices and codes each from the lowest bit up and filled up to
// whole words with zeros: 116 bytes a full block. The word's upper half is hi, the largest magnitude rounded up to a
// bfloat16, its lower half lo, the smallest that is kept, rounded down. Bit 0 of a code is the sign, bit 1 the level:
// (3 lo + hi) / 4, or (lo + 3 hi) / 4 for what lies above (lo + hi) / 2.
//
// Indices ascend; of equal magnitudes the first are kept. Only what is at least a quarter of the largest is kept
// (below a fifth a value is nearer to zero than to a level): where these are fewer than K, the last entry is repeated. A block
// that is not kept at all has 0 behind its word.
//
// Every browser and GPU finds the same bits (shaders/top-k.wgsl): lo and hi have 8 significant bits and differ by two
// exponents at most (hi by one more, when rounded up), so the levels and the middle have no more than 14 and nothing is
// rounded, in whatever order or fused. value - level, a site's own remainder, is one subtraction.
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

/** One value in so many is kept. */
const SPARSITY = 64;
const INDEX_BITS = 12;
const CODE_BITS = 2;
/** What is kept is at least a quarter of the largest: two exponents below it. */
const QUARTER = 2 << 23;

const keptOf = (size: number): number => Math.ceil(size / SPARSITY);
const indexWords = (size: number): number => Math.ceil((keptOf(size) * INDEX_BITS) / 32);
const codeWords = (size: number): number => Math.ceil((keptOf(size) * CODE_BITS) / 32);
/** 32-bit words of a block of `size` values. */
const blockWords = (size: number): number => 1 + indexWords(size) + codeWords(size);

/** Bytes that `count` values take. */
export function topKBytes(count: number): number {
  return bytesInBlocks(count, (size) => 4 * blockWords(size));
}

export function encodeTopK(values: Float32Array): Uint8Array<ArrayBuffer> {
  const words = new Uint32Array(topKBytes(values.length) / 4);
  const bits = bitsOf(values);
  for (let start = 0, at = 0; start < values.length; start += BLOCK, at += blockWords(BLOCK)) {
    encodeBlock(bits.subarray(start, start + BLOCK), words, at);
  }
  return new Uint8Array(words.buffer);
}

function encodeBlock(bits: Uint32Array, words: Uint32Array, at: number): void {
  const size = bits.length;
  const largest = largestMagnitude(bits, 0, size);
  if (largest < SMALLEST) return;
  if (largest >= TOO_LARGE) {
    words[at] = NOT_A_NUMBER * 0x10001;
    return;
  }
  const room = keptOf(size);
  const { least, larger } = leastKept(bits, largest, room);
  const hi = (largest + 0xffff) >>> 16;
  const lo = least >>> 16;
  words[at] = (hi << 16) | lo;
  const middle = middleOf(lo, hi);

  const codesAt = at + 1 + indexWords(size);
  let ties = room - larger;
  let entry = 0;
  let index = 0;
  let code = 0;
  for (let i = 0; i < size; i++) {
    const magnitude = bits[i]! & 0x7fffffff;
    if (magnitude < least || (magnitude === least && ties-- <= 0)) continue;
    index = i;
    code = (bits[i]! >>> 31) | (magnitude > middle ? 2 : 0);
    put(words, at + 1, entry * INDEX_BITS, index);
    put(words, codesAt, entry * CODE_BITS, code);
    entry++;
  }
  for (; entry < room; entry++) {
    put(words, at + 1, entry * INDEX_BITS, index);
    put(words, codesAt, entry * CODE_BITS, code);
  }
}

/** `bytes`: as many as `count` values take, at a multiple of 4 in their buffer. */
export function decodeTopK(bytes: Uint8Array, count: number): Float32Array<ArrayBuffer> {
  const words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
  const values = new Float32Array(count);
  for (let start = 0, at = 0; start < count; start += BLOCK, at += blockWords(BLOCK)) {
    const block = values.subarray(start, start + BLOCK);
    const hi = fromBfloat16(words[at]! >>> 16);
    const lo = fromBfloat16(words[at]! & 0xffff);
    if (Number.isNaN(hi)) block.fill(NaN);
    if (!(hi > 0)) continue;
    const low = (3 * lo + hi) / 4;
    const high = (lo + 3 * hi) / 4;
    const codesAt = at + 1 + indexWords(block.length);
    for (let entry = 0; entry < keptOf(block.length); entry++) {
      const code = get(words, codesAt, entry * CODE_BITS) & 3;
      const level = code & 2 ? high : low;
      block[get(words, at + 1, entry * INDEX_BITS) & 0xfff] = code & 1 ? -level : level;
    }
  }
  return values;
}

/**
 * The bits of the smallest magnitude to keep, the `room`-th largest or the last that is not below a quarter, and how
 * many are larger. Counts magnitudes by their upper bits, then sorts those that share them with the one looked for.
 */
function leastKept(bits: Uint32Array, largest: number, room: number): { least: number; larger: number } {
  const floor = largest - QUARTER;
  counts.fill(0);
  for (let i = 0; i < bits.length; i++) {
    const above = (bits[i]! & 0x7fffffff) - floor;
    if (above >= 0) counts[above >>> BIN_BITS]!++;
  }
  let bin = BINS - 1;
  let larger = 0;
  let lowest = bin;
  for (; bin >= 0 && larger + counts[bin]! < room; bin--) {
    if (counts[bin]! > 0) lowest = bin;
    larger += counts[bin]!;
  }
  const few = bin < 0;
  if (few) bin = lowest;
  let found = 0;
  for (let i = 0; i < bits.length; i++) {
    const magnitude = bits[i]! & 0x7fffffff;
    if (magnitude >= floor && (magnitude - floor) >>> BIN_BITS === bin) inBin[found++] = magnitude;
  }
  const sorted = inBin.subarray(0, found).sort();
  if (few) return { least: sorted[0]!, larger: larger - sorted.lastIndexOf(sorted[0]!) - 1 };
  const least = sorted[found - (room - larger)]!;
  return { least, larger: larger + found - 1 - sorted.lastIndexOf(least) };
}

const BIN_BITS = 14;
/** From a quarter of the largest magnitude to itself. */
const BINS = (QUARTER >>> BIN_BITS) + 1;
const counts = new Uint16Array(BINS);
const inBin = new Uint32Array(BLOCK);

/** Bits of (lo + hi) / 2. */
function middleOf(lo: number, hi: number): number {
  single[0] = (fromBfloat16(lo) + fromBfloat16(hi)) / 2;
  return singleBits[0]!;
}

const single = new Float32Array(1);
const singleBits = new Uint32Array(single.buffer);

/** Sets bits that are still 0: those of `value`, from bit `bit` behind word `at` on. */
function put(words: Uint32Array, at: number, bit: number, value: number): void {
  const word = at + (bit >>> 5);
  const shift = bit & 31;
  words[word]! |= value << shift;
  // What runs over the word's end; a shift by 32 would be one by 0.
  if (shift > 20) words[word + 1]! |= value >>> (32 - shift);
}

/** 12 bits or more from bit `bit` behind word `at` on. */
function get(words: Uint32Array, at: number, bit: number): number {
  const word = at + (bit >>> 5);
  const shift = bit & 31;
  return (words[word]! >>> shift) | (shift > 20 ? words[word + 1]! << (32 - shift) : 0);
}
