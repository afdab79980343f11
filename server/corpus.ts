// A run's text, from where its configuration says to tokens in the blob store.
import { createRequire } from "node:module";
import { readdir, readFile, stat } from "node:fs/promises";
import { dirname, extname, join, resolve } from "node:path";
import { z } from "zod";
import {
  byteTokenizer,
  gpt2Tokenizer,
  huggingFaceTokenizer,
  type Tokenizer,
} from "../core/formats/tokenizer.ts";
import type { RunConfig } from "../core/model/config.ts";
import type { TokenSource } from "../core/protocol/control.ts";
import type { Blobs } from "./blobs.ts";
import { UserError } from "./errors.ts";

const TEXT_EXTENSIONS = [".txt", ".md", ".jsonl"];
const JsonLine = z.looseObject({ text: z.string() });

export interface Corpus {
  readonly source: TokenSource;
  readonly tokenizer: Tokenizer;
  /** Blob of the tokenizer.json, for export; null for bytes and GPT-2. */
  readonly tokenizerHash: string | null;
  /** First tokens of the validation part: what samples start from. */
  readonly prompt: number[];
}

const PROMPT_TOKENS = 16;

/** Reads, tokenizes and stores the run's text. @throws UserError naming the configuration key to mend */
export async function loadCorpus(config: RunConfig, blobs: Blobs): Promise<Corpus> {
  const { tokenizer, tokenizerFile } = await loadTokenizer(config.data.tokenizer);
  if (tokenizer.vocab > config.model.vocab) {
    throw new UserError(
      `model.vocab is ${config.model.vocab}, but the tokenizer '${config.data.tokenizer}' has ${tokenizer.vocab} tokens: raise model.vocab`,
    );
  }
  const text = await readText(config.data.text);
  const ids = tokenizer.encode(text);
  const validFrom = Math.floor(ids.length * (1 - config.data.valid));
  const T = config.model.context;
  if (validFrom <= T || ids.length - validFrom < 2) {
    throw new UserError(
      `data.text: '${config.data.text}' has ${ids.length} tokens, too few for model.context ${T} and data.valid ${config.data.valid}: give a longer text`,
    );
  }
  const bytesPerToken = config.model.vocab <= 256 ? 1 : config.model.vocab <= 65536 ? 2 : 4;
  const ArrayType = { 1: Uint8Array, 2: Uint16Array, 4: Uint32Array }[bytesPerToken];
  const hash = await blobs.put(new Uint8Array(ArrayType.from(ids).buffer));
  return {
    source: { hash, bytesPerToken, count: ids.length, validFrom },
    tokenizer,
    tokenizerHash: tokenizerFile && (await blobs.put(new TextEncoder().encode(tokenizerFile))),
    prompt: ids.slice(validFrom, validFrom + Math.min(PROMPT_TOKENS, T)),
  };
}

/** "bytes", "gpt2", or the path of a tokenizer.json or of a folder with one. */
export async function loadTokenizer(
  name: string,
): Promise<{ tokenizer: Tokenizer; tokenizerFile: string | null }> {
  if (name === "bytes") return { tokenizer: byteTokenizer, tokenizerFile: null };
  if (name === "gpt2") return { tokenizer: gpt2Tokenizer(), tokenizerFile: null };
  const path = name.endsWith(".json") ? name : join(name, "tokenizer.json");
  const file = await readFile(path, "utf8").catch(() => {
    throw new UserError(
      `data.tokenizer: no file '${path}'; use "bytes", "gpt2" or the path of a tokenizer.json`,
    );
  });
  try {
    return { tokenizer: huggingFaceTokenizer(JSON.parse(file)), tokenizerFile: file };
  } catch (error) {
    throw new UserError(`data.tokenizer: '${path}' is not a tokenizer.json: ${String(error)}`);
  }
}

/**
 * Text of a file, of a folder's .txt, .md and .jsonl files (in natural order of their names), or of an installed
 * npm package that ships text: its data/data.txt where it has one (the whole text), else its data folder. JSON lines
 * have a "text" field each.
 */
export async function readText(name: string): Promise<string> {
  const path = (await stat(name).catch(() => null)) ? resolve(name) : await packageText(name);
  if (!path) throw new UserError(`data.text: no file, folder or installed package '${name}'`);
  const text = (await stat(path)).isDirectory() ? await readFolder(path) : await readTextFile(path);
  if (text.trim() === "") throw new UserError(`data.text: '${name}' is empty: give a file with text in it`);
  return text;
}

async function readFolder(folder: string): Promise<string> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries
    .filter((entry) => entry.isFile() && TEXT_EXTENSIONS.includes(extname(entry.name)))
    .map((entry) => join(entry.parentPath, entry.name))
    .sort(new Intl.Collator("en", { numeric: true }).compare);
  if (files.length === 0) {
    throw new UserError(`data.text: the folder '${folder}' has no ${TEXT_EXTENSIONS.join(", ")} files`);
  }
  return (await Promise.all(files.map(readTextFile))).join("\n");
}

async function readTextFile(path: string): Promise<string> {
  const content = await readFile(path, "utf8");
  if (extname(path) !== ".jsonl") return content;
  const lines = content.split("\n").filter((line) => line.trim() !== "");
  return lines.map((line, i) => parseJsonLine(path, line, i + 1)).join("\n");
}

function parseJsonLine(path: string, line: string, number: number): string {
  try {
    return JsonLine.parse(JSON.parse(line)).text;
  } catch {
    throw new UserError(`data.text: line ${number} of '${path}' is not a JSON object with a "text" field`);
  }
}

async function packageText(name: string): Promise<string | null> {
  if (!/^(@[\w.-]+\/)?[\w.-]+$/.test(name)) return null;
  try {
    const folder = join(dirname(createRequire(import.meta.url).resolve(`${name}/package.json`)), "data");
    const whole = join(folder, "data.txt");
    return (await stat(whole).catch(() => null)) ? whole : folder;
  } catch {
    return null;
  }
}
