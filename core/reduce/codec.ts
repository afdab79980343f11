// How f32 values travel: as they are, as binary16, as integers of 8 or 4 bits that share a scale, only the largest, or
// only their signs.
// Not here: how the last four are laid out (block-integers.ts, top-k.ts, signs.ts), what becomes of what an encoding leaves out
// (error-feedback.ts), the frames that carry them (core/protocol/frame.ts).
import { fromHalves, toHalves } from "../formats/half.ts";
import { decodeIntegers, encodeIntegers, integerBytes } from "./block-integers.ts";
import { decodeSigns, encodeSigns, signBytes } from "./signs.ts";
import { decodeTopK, encodeTopK, topKBytes } from "./top-k.ts";

/** Near enough to the values to do without error feedback. */
export const PLAIN_CODECS = ["f32", "f16", "int8"] as const;
export type PlainCodec = (typeof PLAIN_CODECS)[number];

/** For a site's replicas: each value by itself, so that replicas may cut the model differently. */
export const SITE_CODECS = ["f32", "f16"] as const;
export type SiteCodec = (typeof SITE_CODECS)[number];

export const CODECS = [...PLAIN_CODECS, "int4", "topk", "sign"] as const;
export type Codec = (typeof CODECS)[number];

/** Whether so much is left out that it has to be said later: error-feedback.ts. */
export function needsFeedback(codec: Codec): boolean {
  return codec === "int4" || saysLittle(codec);
}

/**
 * Whether so little of a site's term is said that a sum of several would lose by being said in the same way: then every
 * site tells all others its term.
 */
export function saysLittle(codec: Codec): boolean {
  return codec === "topk" || codec === "sign";
}

/** Bytes that `count` values take. */
export function encodedBytes(codec: Codec, count: number): number {
  switch (codec) {
    case "f32":
      return 4 * count;
    case "f16":
      return 2 * count;
    case "int8":
      return integerBytes(8, count);
    case "int4":
      return integerBytes(4, count);
    case "topk":
      return topKBytes(count);
    case "sign":
      return signBytes(count);
  }
}

/**
 * What is to be sent, little-endian. A block (f32 and f16: a value) that is not finite is not finite when decoded: it
 * never turns into numbers.
 */
export function encode(codec: Codec, values: Float32Array): ArrayBufferView {
  switch (codec) {
    case "f32":
      return values;
    case "f16":
      return toHalves(values);
    case "int8":
      return encodeIntegers(8, values);
    case "int4":
      return encodeIntegers(4, values);
    case "topk":
      return encodeTopK(values);
    case "sign":
      return encodeSigns(values);
  }
}

/** The reverse, the same bits everywhere. @throws RangeError when `bytes` are not what `count` values take */
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
  switch (codec) {
    case "f32":
      return new Float32Array(own.buffer, own.byteOffset, count);
    case "f16":
      return fromHalves(new Uint16Array(own.buffer, own.byteOffset, count));
    case "int8":
      return decodeIntegers(8, own, count);
    case "int4":
      return decodeIntegers(4, own, count);
    case "topk":
      return decodeTopK(own, count);
    case "sign":
      return decodeSigns(own, count);
  }
}
