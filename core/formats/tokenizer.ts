// Text to token ids and back: bytes, GPT-2's BPE, or any Hugging Face tokenizer.json.
import { Tokenizer as HuggingFaceTokenizer } from "@huggingface/tokenizers";
import { Tiktoken } from "js-tiktoken/lite";
import gpt2Ranks from "js-tiktoken/ranks/gpt2";
import { z } from "zod";

export interface Tokenizer {
  /** Number of distinct ids; the model's vocabulary must be at least this large. */
  readonly vocab: number;
  encode(text: string): number[];
  decode(tokens: readonly number[]): string;
}

/** One token a byte of UTF-8: id = byte. Bytes that are no UTF-8 decode to U+FFFD. */
export const byteTokenizer: Tokenizer = {
  vocab: 256,
  encode: (text) => [...new TextEncoder().encode(text)],
  decode: (tokens) => new TextDecoder().decode(Uint8Array.from(tokens)),
};

/** GPT-2's byte-pair encoding, 50,257 tokens; special tokens in the text are plain text. */
export function gpt2Tokenizer(): Tokenizer {
  const bpe = new Tiktoken(gpt2Ranks);
  return {
    vocab: 50257,
    encode: (text) => bpe.encode(text, [], []),
    decode: (tokens) => bpe.decode([...tokens]),
  };
}

const TokenizerFile = z.looseObject({
  model: z.looseObject({ vocab: z.union([z.record(z.string(), z.number().int()), z.array(z.unknown())]) }),
  added_tokens: z.array(z.looseObject({ id: z.number().int() })).default([]),
});

/** A tokenizer.json's tokenizer. No special token is added to what it encodes. */
export function huggingFaceTokenizer(json: unknown): Tokenizer {
  const { model, added_tokens } = TokenizerFile.parse(json);
  const size = Array.isArray(model.vocab) ? model.vocab.length : Math.max(...Object.values(model.vocab)) + 1;
  const tokenizer = new HuggingFaceTokenizer(json as object, {});
  return {
    vocab: Math.max(size, ...added_tokens.map(({ id }) => id + 1)),
    encode: (text) => tokenizer.encode(text, { add_special_tokens: false }).ids,
    // The library refuses to decode nothing, and by default tidies spaces before punctuation away.
    decode: (tokens) =>
      tokens.length === 0
        ? ""
        : tokenizer.decode([...tokens], { skip_special_tokens: false, clean_up_tokenization_spaces: false }),
  };
}

/**
 * The byte tokenizer as a tokenizer.json: byte-level BPE without merges, each byte's stand-in character mapped
 * to the byte's value. Source of the stand-ins: `bytes_to_unicode` of GPT-2's encoder.
 */
export function byteTokenizerFile(): object {
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: [],
    normalizer: null,
    pre_tokenizer: { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: false },
    post_processor: null,
    decoder: { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: false },
    model: {
      type: "BPE",
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      vocab: Object.fromEntries(byteCharacters().map((character, byte) => [character, byte])),
      merges: [],
    },
  };
}

/** Printable bytes of Latin-1 stand for themselves; the other 68 take the code points from 256 on, in order. */
function byteCharacters(): string[] {
  const printable = (byte: number) =>
    (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) => String.fromCodePoint(printable(byte) ? byte : next++));
}
