// How f32 values travel: as they are, as binary16, or as 8-bit integers with a scale for each block.
// Not here: the frames that carry them (core/protocol/frame.ts).
import { floatToHalf, halfToFloat } from "../formats/half.ts";

export const CODECS = ["f32", "f16", "int8"] as const;
export type Codec = (typeof CODECS)[number];

/** Values that share a scale. */
const BLOCK = 4096;
/** Integers go from -LARGEST to LARGEST: the scale is a block's largest magnitude by it. */
const LARGEST = 127;
/** f32 says smaller scales too coarsely: a block that would need one is sent as zeros. */
const SMALLEST_SCALE = 2 ** -126;

/** Bytes that `count` values take. */
export function encodedBytes(codec: Codec, count: number): number {
  if (codec === "f32") return 4 * count;
  if (codec === "f16") return 2 * count;
  return 4 * Math.ceil(count / BLOCK) + count;
}

/**
 * f32 and f16: the values, little-endian. int8: the blocks' scales in f32, then a byte a value, scale * byte being the
 * nearest it can say. A block with a value that is not finite is not finite when decoded: it never turns into
 * numbers.
 */
export function encode(codec: Codec, values: Float32Array): ArrayBufferView {
  if (codec === "f32") return values;
  if (codec === "f16") return Uint16Array.from(values, floatToHalf);
  const blocks = Math.ceil(values.length / BLOCK);
  const bytes = new ArrayBuffer(encodedBytes(codec, values.length));
  const scales = new Float32Array(bytes, 0, blocks);
  const integers = new Int8Array(bytes, 4 * blocks);
  for (let block = 0; block < blocks; block++) {
    const start = block * BLOCK;
    const part = values.subarray(start, start + BLOCK);
    let largest = 0;
    // Not Math.max, which would do, but this is the inner loop of every send.
    for (const value of part) {
      const magnitude = Math.abs(value);
      if (!(magnitude <= largest)) largest = magnitude;
      if (magnitude !== magnitude) break;
    }
    if (largest / LARGEST < SMALLEST_SCALE) continue;
    scales[block] = largest / LARGEST;
    const scale = scales[block]!;
    for (let i = 0; i < part.length; i++) integers[start + i] = Math.round(part[i]! / scale);
  }
  return new Uint8Array(bytes);
}

/** The reverse. @throws RangeError when `bytes` are not what `count` values take */
export function decode(
  codec: Codec,
  bytes: Uint8Array<ArrayBuffer>,
  count: number,
): Float32Array<ArrayBuffer> {
  if (bytes.length !== encodedBytes(codec, count)) {
    throw new RangeError(
      `${count} values as ${codec} take ${encodedBytes(codec, count)} bytes, not ${bytes.length}`,
    );
  }
  // A copy where the bytes do not lie as wide numbers must.
  const own = bytes.byteOffset % 4 === 0 ? bytes : bytes.slice();
  if (codec === "f32") return new Float32Array(own.buffer, own.byteOffset, count);
  if (codec === "f16")
    return Float32Array.from(new Uint16Array(own.buffer, own.byteOffset, count), halfToFloat);
  const blocks = Math.ceil(count / BLOCK);
  const scales = new Float32Array(own.buffer, own.byteOffset, blocks);
  const integers = new Int8Array(own.buffer, own.byteOffset + 4 * blocks, count);
  return Float32Array.from(integers, (integer, i) => integer * scales[Math.floor(i / BLOCK)]!);
}
