import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { checkTensors, fromLlamaConfig, toLlamaConfig } from "../../core/formats/huggingface.ts";
import { decodeSafetensors, encodeSafetensors } from "../../core/formats/safetensors.ts";
import {
  byteTokenizer,
  byteTokenizerFile,
  gpt2Tokenizer,
  huggingFaceTokenizer,
} from "../../core/formats/tokenizer.ts";
import { tinyConfig } from "../fixtures/configs.ts";

describe("safetensors", () => {
  const tensor = fc.float32Array({ maxLength: 40 }).map((values) => ({ shape: [values.length], values }));

  test("what is written is read back, bit for bit", () => {
    fc.assert(
      fc.property(
        fc.dictionary(fc.string({ minLength: 1 }), tensor, { noNullPrototype: true }),
        (tensors) => {
          const map = new Map(Object.entries(tensors).filter(([name]) => name !== "__metadata__"));
          const read = decodeSafetensors(encodeSafetensors(map, { format: "pt" }));
          expect(read.metadata).toEqual({ format: "pt" });
          expect([...read.tensors.keys()].sort()).toEqual([...map.keys()].sort());
          for (const [name, { shape, values }] of map) {
            expect(read.tensors.get(name)!.shape).toEqual(shape);
            expect(new Uint32Array(read.tensors.get(name)!.values.buffer)).toEqual(
              new Uint32Array(values.slice().buffer),
            );
          }
        },
      ),
    );
  });

  test("a tensor may have any name JavaScript has plans for", () => {
    const names = ["__proto__", "constructor", "toString"];
    const tensors = new Map(names.map((name) => [name, { shape: [1], values: Float32Array.of(1) }]));
    expect([...decodeSafetensors(encodeSafetensors(tensors)).tensors.keys()]).toEqual(names);
  });

  test("data starts at a multiple of 8", () => {
    const file = encodeSafetensors(new Map([["x", { shape: [1], values: Float32Array.of(1) }]]));
    expect((file.length - 4) % 8).toBe(0);
  });

  function file(dtype: string, shape: number[], bytes: Uint8Array): Uint8Array {
    const json = new TextEncoder().encode(
      JSON.stringify({ x: { dtype, shape, data_offsets: [0, bytes.length] } }),
    );
    const out = new Uint8Array(8 + json.length + bytes.length);
    new DataView(out.buffer).setBigUint64(0, BigInt(json.length), true);
    out.set(json, 8);
    out.set(bytes, 8 + json.length);
    return out;
  }

  test("half precision files are read as f32", () => {
    const f16 = new Uint8Array(Uint16Array.of(0x3c00, 0xc000, 0x0001, 0x7c00, 0x3555).buffer);
    expect([...decodeSafetensors(file("F16", [5], f16)).tensors.get("x")!.values]).toEqual([
      1,
      -2,
      2 ** -24,
      Infinity,
      Math.fround(0.333251953125),
    ]);
    const bf16 = new Uint8Array(Uint16Array.of(0x3f80, 0xc040).buffer);
    expect([...decodeSafetensors(file("BF16", [2], bf16)).tensors.get("x")!.values]).toEqual([1, -3]);
  });

  test("a cut-short, foreign or inconsistent file says what is wrong", () => {
    const whole = encodeSafetensors(new Map([["x", { shape: [4], values: new Float32Array(4) }]]));
    expect(() => decodeSafetensors(whole.subarray(0, whole.length - 1))).toThrow(
      /tensor 'x' lies outside the file/,
    );
    expect(() => decodeSafetensors(whole.subarray(0, 20))).toThrow(/cut short/);
    expect(() => decodeSafetensors(new TextEncoder().encode("{}"))).toThrow(/not a safetensors file/);
    expect(() => decodeSafetensors(file("F32", [2], new Uint8Array(4)))).toThrow(
      /shape \[2\] holds 1 values/,
    );
    expect(() => decodeSafetensors(file("I8", [4], new Uint8Array(4)))).toThrow(/dtype I8/);
  });
});

describe("Hugging Face configuration", () => {
  const { model } = tinyConfig();

  test("a model survives the way out and in", () => {
    expect(fromLlamaConfig(JSON.parse(JSON.stringify(toLlamaConfig(model))))).toEqual(model);
  });

  test("a foreign model says why it cannot be read", () => {
    expect(() => fromLlamaConfig({ ...toLlamaConfig(model), model_type: "gpt2" })).toThrow(/model_type/);
    expect(() => fromLlamaConfig({ ...toLlamaConfig(model), attention_bias: true })).toThrow(
      /attention_bias/,
    );
    expect(() => fromLlamaConfig({ ...toLlamaConfig(model), rope_scaling: { type: "llama3" } })).toThrow(
      /rope_scaling/,
    );
    expect(() => fromLlamaConfig({ ...toLlamaConfig(model), head_dim: 128 })).toThrow(/head_dim 128/);
  });

  test("a missing or misshapen tensor is named", () => {
    expect(() => checkTensors(model, new Map())).toThrow(/no tensor 'model.embed_tokens.weight'/);
    const wrong = { shape: [1, 2], values: new Float32Array(2) };
    expect(() => checkTensors(model, new Map([["model.embed_tokens.weight", wrong]]))).toThrow(
      /shape \[1, 2\], config.json wants \[256, 32\]/,
    );
  });
});

describe("tokenizers", () => {
  test("the byte tokenizer and its tokenizer.json agree on any text", () => {
    const file = huggingFaceTokenizer(byteTokenizerFile());
    expect(file.vocab).toBe(256);
    fc.assert(
      fc.property(fc.string({ unit: "grapheme" }), (text) => {
        const ids = byteTokenizer.encode(text);
        expect(file.encode(text)).toEqual(ids);
        expect(byteTokenizer.decode(ids)).toBe(text);
        expect(file.decode(ids)).toBe(text);
      }),
    );
  });

  test("GPT-2", () => {
    const gpt2 = gpt2Tokenizer();
    expect(gpt2.encode("Hello, world!")).toEqual([15496, 11, 995, 0]);
    expect(gpt2.decode(gpt2.encode("<|endoftext|> naïve 🐋"))).toBe("<|endoftext|> naïve 🐋");
  });
});
