// Checkpoints in the data folder: shards are blobs, a manifest names them and is written last, atomically. Also
// their two other shapes: a Hugging Face directory, out and in.
// Files only, no database: `export` works beside a running server.
import { mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import {
  checkTensors,
  fromLlamaConfig,
  ModelFormatError,
  toLlamaConfig,
} from "../core/formats/huggingface.ts";
import {
  decodeSafetensors,
  encodeSafetensors,
  SafetensorsError,
  type NamedTensor,
} from "../core/formats/safetensors.ts";
import { byteTokenizerFile } from "../core/formats/tokenizer.ts";
import { ModelConfig } from "../core/model/config.ts";
import { parameterSpace } from "../core/model/parameters.ts";
import { Shard } from "../core/protocol/control.ts";
import type { Blobs } from "./blobs.ts";
import { UserError } from "./errors.ts";
import { readWhole } from "./read-whole.ts";

const Manifest = z.strictObject({
  id: z.string(),
  /** Run it was taken from; null for an imported directory. */
  run: z.string().nullable(),
  step: z.number().int().min(0),
  model: ModelConfig,
  /** Strategy `rounds`: tokens since each fragment's last exchange, by site. */
  tokens: z.record(z.string(), z.array(z.number().int().min(0))).optional(),
  /** Whether the shards hold AdamW's moments. */
  optimizer: z.boolean(),
  shards: z.array(Shard),
  /** Blob of the tokenizer.json; null for bytes and GPT-2. */
  tokenizer: z.string().nullable(),
});
export type Checkpoint = z.infer<typeof Manifest>;

export const EXPORTED_FILES = ["config.json", "model.safetensors", "tokenizer.json"] as const;
export type ExportedFile = (typeof EXPORTED_FILES)[number];

export class Checkpoints {
  readonly #folder: string;
  readonly #blobs: Blobs;
  /** Ids of checkpoints whose shards are being read. */
  readonly #reading: string[] = [];

  constructor(data: string, blobs: Blobs) {
    this.#folder = join(data, "checkpoints");
    this.#blobs = blobs;
  }

  /** Writes the manifest; its shards must be stored already. */
  async save(checkpoint: Checkpoint): Promise<void> {
    await mkdir(this.#folder, { recursive: true });
    const path = this.#path(checkpoint.id);
    await writeFile(`${path}.new`, JSON.stringify(checkpoint, null, 2));
    await rename(`${path}.new`, path);
  }

  /**
   * Deletes all but the latest `count` checkpoints of a run, and blobs that none of those left names: the deleted ones'
   * at once, and those of checkpoints that came to nothing. Blobs `inUse` stay.
   */
  async keepLatest(run: string, count: number, inUse: readonly string[]): Promise<void> {
    const all = await this.#all();
    const old = all
      .filter((one) => one.run === run)
      .sort((a, b) => b.step - a.step)
      .slice(count)
      .filter(({ id }) => !this.#reading.includes(id));
    const kept = all.filter((one) => !old.includes(one));
    // A checkpoint whose shards are gone must not be found.
    for (const { id } of old) await rm(this.#path(id));
    await this.#blobs.sweep(
      new Set([...kept.flatMap(blobsOf), ...inUse]),
      new Set(old.flatMap(({ shards }) => shards.map(({ hash }) => hash))),
    );
  }

  /** A checkpoint by its id, or the latest of a run by the run's id. @throws UserError when there is none */
  async find(name: string): Promise<Checkpoint> {
    const named = (await this.#ids()).includes(name) ? await this.#read(name) : null;
    const latest = named ?? (await this.latest(name));
    if (latest) return latest;
    throw new UserError(`no checkpoint and no run with checkpoints is called '${name}' in ${this.#folder}`);
  }

  /** The latest of a run; null when it has none. */
  async latest(run: string): Promise<Checkpoint | null> {
    const ofRun = (await this.#all()).filter((checkpoint) => checkpoint.run === run);
    return ofRun.sort((a, b) => a.step - b.step).at(-1) ?? null;
  }

  /** One file of the checkpoint's Hugging Face directory; null when it has no such file. */
  async exportFile(checkpoint: Checkpoint, file: ExportedFile): Promise<Uint8Array | null> {
    if (file === "config.json") return json(toLlamaConfig(checkpoint.model));
    if (file === "model.safetensors") {
      const tensors = await this.#parameters(checkpoint);
      return encodeSafetensors(tensors, { format: "pt" });
    }
    if (checkpoint.tokenizer) return this.#blobs.read(checkpoint.tokenizer);
    return checkpoint.model.vocab === 256 ? json(byteTokenizerFile()) : null;
  }

  /** Takes a Hugging Face Llama directory in as a checkpoint to start from. @throws UserError */
  async importDirectory(directory: string, id: string): Promise<Checkpoint> {
    try {
      const model = fromLlamaConfig(
        JSON.parse(new TextDecoder().decode(await readModelFile(directory, "config.json"))),
      );
      const file = await readModelFile(directory, "model.safetensors");
      const { tensors } = decodeSafetensors(file);
      checkTensors(model, tensors);
      const names = parameterSpace(model).tensors.map(({ name }) => name);
      const bytes = encodeSafetensors(new Map(names.map((name) => [name, tensors.get(name)!])));
      const shard = { hash: await this.#blobs.put(bytes), bytes: bytes.length, tensors: names };
      const tokenizer = await readFile(join(directory, "tokenizer.json")).catch(() => null);
      const checkpoint: Checkpoint = {
        id,
        run: null,
        step: 0,
        model,
        optimizer: false,
        shards: [shard],
        tokenizer: tokenizer && (await this.#blobs.put(tokenizer)),
      };
      await this.save(checkpoint);
      return checkpoint;
    } catch (error) {
      const known =
        error instanceof ModelFormatError ||
        error instanceof SafetensorsError ||
        error instanceof SyntaxError;
      if (known) throw new UserError(`${directory}: ${error.message}`);
      throw error;
    }
  }

  #path(id: string): string {
    return join(this.#folder, `${id}.json`);
  }

  async #ids(): Promise<string[]> {
    const files = await readdir(this.#folder).catch(() => []);
    return files.filter((file) => file.endsWith(".json")).map((file) => file.slice(0, -".json".length));
  }

  async #all(): Promise<Checkpoint[]> {
    const all = await Promise.all((await this.#ids()).map((id) => this.#read(id)));
    return all.filter((one) => one !== null);
  }

  /** Null when it is deleted meanwhile. */
  async #read(id: string): Promise<Checkpoint | null> {
    const path = this.#path(id);
    const text = await readFile(path, "utf8").catch(unlessMissing);
    if (text === null) return null;
    const parsed = Manifest.safeParse(JSON.parse(text));
    if (!parsed.success)
      throw new UserError(`${path} is not a checkpoint of this version: ${parsed.error.message}`);
    return parsed.data;
  }

  /** The model's tensors, in canonical order, without optimizer state. */
  async #parameters({ id, model, shards }: Checkpoint): Promise<Map<string, NamedTensor>> {
    const found = new Map<string, NamedTensor>();
    this.#reading.push(id);
    try {
      for (const { hash } of shards) {
        const shard = await this.#blobs.read(hash).catch(unlessMissing);
        // A server keeps what it reads itself; `export` may be a process of its own.
        if (!shard)
          throw new UserError(
            `checkpoint ${id} was deleted for a newer one: take the latest, by its run's name`,
          );
        for (const [name, tensor] of decodeSafetensors(shard).tensors) found.set(name, tensor);
      }
    } finally {
      this.#reading.splice(this.#reading.indexOf(id), 1);
    }
    checkTensors(model, found);
    return new Map(parameterSpace(model).tensors.map(({ name }) => [name, found.get(name)!]));
  }
}

const blobsOf = ({ shards, tokenizer }: Checkpoint): string[] => [
  ...shards.map(({ hash }) => hash),
  ...(tokenizer ? [tokenizer] : []),
];

function unlessMissing(error: NodeJS.ErrnoException): null {
  if (error.code === "ENOENT") return null;
  throw error;
}

function json(value: object): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(value, null, 2));
}

/** @throws UserError when there is no such file */
async function readModelFile(directory: string, file: string): Promise<Uint8Array<ArrayBuffer>> {
  return readWhole(join(directory, file)).catch((error: NodeJS.ErrnoException) => {
    if (!["ENOENT", "ENOTDIR"].includes(error.code ?? "")) {
      throw new UserError(`${join(directory, file)} cannot be read: ${error.message}`);
    }
    throw new UserError(`${directory} has no ${file}: give a Hugging Face directory of a Llama model`);
  });
}
