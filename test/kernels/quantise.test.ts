// Encoding and decoding on the GPU has the bits of core/reduce, and leaves what error feedback keeps.
import { describe, expect, test } from "vitest";
import { decode, encode, encodedBytes } from "../../core/reduce/codec.ts";
import { encodeWithFeedback } from "../../core/reduce/error-feedback.ts";
import { dequantise, quantise } from "../../web/engine/quantise.ts";
import { comparableBits, SAMPLE_LENGTHS, SAMPLES, sampleValues, type Sample } from "../fixtures/samples.ts";
import { runOperations } from "./run-operations.ts";

const samples = Object.keys(SAMPLES) as Sample[];
const bitsOf = (values: Float32Array) => new Uint32Array(values.slice().buffer);

function expectSameBits(actual: Uint32Array, expected: Uint32Array, what: string): void {
  const differs = expected.findIndex((bits, i) => bits !== actual[i]);
  const hex = (bits: number | undefined) => `0x${(bits ?? 0).toString(16)}`;
  expect(differs, `${what}, ${differs}: ${hex(actual[differs])}, not ${hex(expected[differs])}`).toBe(-1);
}

describe.each(["int8", "int4", "topk", "sign"] as const)("%s", (codec) => {
  test.each(SAMPLE_LENGTHS)("%i values of every kind", async (count) => {
    const words = encodedBytes(codec, count) / 4;
    for (const sample of samples) {
      const values = sampleValues(sample, count);
      const arrays = {
        values: bitsOf(values),
        encoded: new Uint32Array(words).fill(0xdeadbeef),
        decoded: new Uint32Array(count).fill(0xdeadbeef),
      };
      const results = await runOperations(arrays, ({ values, encoded, decoded }) => [
        quantise(codec, count, values, encoded),
        dequantise(codec, count, encoded, decoded),
      ]);
      const residual = new Float32Array(count);
      const { buffer } = encode(codec, values);
      const decoded = decode(codec, new Uint8Array(buffer as ArrayBuffer), count);
      encodeWithFeedback(codec, values, residual);
      expectSameBits(bitsOf(results.encoded), new Uint32Array(buffer), `${sample}: word`);
      expectSameBits(comparableBits(results.decoded), comparableBits(decoded), `${sample}: decoded value`);
      // Minus zero plus a residual of zero is zero.
      const left = residual.map((value) => value + 0);
      const leftOnGpu = results.values.map((value) => value + 0);
      expectSameBits(comparableBits(leftOnGpu), comparableBits(left), `${sample}: residual`);
    }
  });
});
