// Content-addressed files in the data folder: a blob's name is its SHA-256.
import { createHash, randomUUID } from "node:crypto";
import { createWriteStream } from "node:fs";
import { access, mkdir, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { Readable, Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import { readWhole } from "./read-whole.ts";

export const MAX_BLOB_BYTES = 16 * 1024 ** 3;

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
    if (!(await this.has(hash))) await this.#place(hash, (file) => writeFile(file, bytes));
    return hash;
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
