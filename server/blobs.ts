// Content-addressed files in the data folder: a blob's name is its SHA-256.
import { createHash, randomUUID } from "node:crypto";
import { createWriteStream } from "node:fs";
import { access, mkdir, readdir, rename, rm, stat, utimes, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { Readable, Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import { Hash } from "../core/protocol/control.ts";
import { readWhole } from "./read-whole.ts";

export const MAX_BLOB_BYTES = 16 * 1024 ** 3;
/** A blob that nothing names yet may be about to be named: by an import in another process, or a shard on its way. */
const SETTLED_MS = 3600_000;

/** What was sent is not what its name says. */
export class BlobMismatch extends Error {
  override name = "BlobMismatch";
}

export class Blobs {
  readonly #folder: string;

  get #drafts(): string {
    return join(this.#folder, "drafts");
  }

  constructor(data: string) {
    this.#folder = join(data, "blobs");
  }

  /** Removes what a process that was killed left half written. */
  async clearDrafts(): Promise<void> {
    await rm(this.#drafts, { recursive: true, force: true });
  }

  path(hash: string): string {
    return join(this.#folder, hash.slice(0, 2), hash);
  }

  async has(hash: string): Promise<boolean> {
    return access(this.path(hash)).then(
      () => true,
      () => false,
    );
  }

  read(hash: string): Promise<Uint8Array> {
    return readWhole(this.path(hash));
  }

  /** Stores the bytes and returns their hash. */
  async put(bytes: Uint8Array): Promise<string> {
    const hash = createHash("sha256").update(bytes).digest("hex");
    // One that is there already is as good as new, and not to be swept.
    if (await this.has(hash)) await utimes(this.path(hash), new Date(), new Date());
    else await this.#place(hash, (file) => writeFile(file, bytes));
    return hash;
  }

  /** Deletes what is not `needed`: at once what is `given` up, and what has lain here for an hour. */
  async sweep(needed: ReadonlySet<string>, given: ReadonlySet<string>): Promise<void> {
    const before = Date.now() - SETTLED_MS;
    for (const hash of await this.#hashes()) {
      if (needed.has(hash)) continue;
      const path = this.path(hash);
      if (given.has(hash) || (await stat(path)).mtimeMs < before) await rm(path);
    }
  }

  async #hashes(): Promise<string[]> {
    const names = await readdir(this.#folder, { recursive: true }).catch(() => []);
    return names.map((name) => basename(name)).filter((name) => Hash.safeParse(name).success);
  }

  /** Stores a stream under the hash it should have. @throws BlobMismatch */
  async putStream(hash: string, stream: ReadableStream<Uint8Array>): Promise<void> {
    const digest = createHash("sha256");
    let bytes = 0;
    const measured = new Transform({
      transform(chunk: Buffer, _encoding, done) {
        digest.update(chunk);
        bytes += chunk.length;
        done(bytes > MAX_BLOB_BYTES ? new BlobMismatch(`blob is over ${MAX_BLOB_BYTES} bytes`) : null, chunk);
      },
    });
    await this.#place(hash, async (file) => {
      await pipeline(
        Readable.fromWeb(stream as Parameters<typeof Readable.fromWeb>[0]),
        measured,
        createWriteStream(file),
      );
      if (digest.digest("hex") !== hash) throw new BlobMismatch(`what was sent is not blob ${hash}`);
    });
  }

  /** Writes beside the blob's place, then moves it there: a blob is there whole or not at all. */
  async #place(hash: string, write: (file: string) => Promise<void>): Promise<void> {
    const place = this.path(hash);
    const draft = join(this.#drafts, randomUUID());
    await mkdir(this.#drafts, { recursive: true });
    await mkdir(dirname(place), { recursive: true });
    try {
      await write(draft);
      await rename(draft, place);
    } catch (error) {
      await rm(draft, { force: true });
      throw error;
    }
  }
}
