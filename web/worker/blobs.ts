// Content-addressed blobs of the server: the run's tokens and checkpoint shards. What was fetched once is kept in
// IndexedDB, so that a worker that reloads or gets a new assignment does not fetch it again.
import { clear, get, set } from "idb-keyval";

export class BlobError extends Error {
  override name = "BlobError";
}

export class BlobClient {
  readonly #token: string;

  constructor(token: string) {
    this.#token = token;
  }

  /** @throws BlobError when the server does not have it, or sends something else */
  async get(hash: string): Promise<ArrayBuffer> {
    const kept = await get<ArrayBuffer>(hash).catch(() => undefined);
    if (kept) return kept;
    const response = await fetch(`/api/blobs/${hash}`, { headers: this.#headers() });
    if (!response.ok)
      throw new BlobError(`the server answered ${response.status} for blob ${hash.slice(0, 12)}`);
    const bytes = await response.arrayBuffer();
    if ((await sha256(bytes)) !== hash) throw new BlobError(`blob ${hash.slice(0, 12)} arrived damaged`);
    await keep(hash, bytes);
    return bytes;
  }

  /** Uploads the bytes and returns their hash. @throws BlobError, or when `signal` says so */
  async put(bytes: Uint8Array<ArrayBuffer>, signal: AbortSignal): Promise<string> {
    const hash = await sha256(bytes);
    const response = await fetch(`/api/blobs/${hash}`, {
      method: "PUT",
      headers: this.#headers(),
      body: bytes,
      signal,
    });
    if (!response.ok) throw new BlobError(`the server answered ${response.status} to the upload of a blob`);
    return hash;
  }

  #headers(): HeadersInit {
    return { Authorization: `Bearer ${this.#token}` };
  }
}

async function sha256(bytes: ArrayBuffer | Uint8Array<ArrayBuffer>): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", bytes);
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Keeping is a convenience: when the browser's quota is used up, old blobs go, and a failure costs a download. */
async function keep(hash: string, bytes: ArrayBuffer): Promise<void> {
  try {
    await set(hash, bytes);
  } catch {
    await clear().catch(() => {});
  }
}
