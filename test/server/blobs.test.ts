// Blobs on disk: named by their bytes, whole or not there.
import { createHash } from "node:crypto";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { BlobMismatch, Blobs } from "../../server/blobs.ts";

const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

function scratch() {
  const data = mkdtempSync(join(tmpdir(), "tributary-blobs-"));
  onTestFinished(() => rmSync(data, { recursive: true, force: true }));
  const files = () =>
    readdirSync(data, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map(({ name }) => name);
  return { blobs: new Blobs(data), files };
}

/** The bytes in small chunks, then an error if there is one. */
function streamOf(bytes: Uint8Array, error?: Error): ReadableStream<Uint8Array> {
  let at = 0;
  return new ReadableStream<Uint8Array>({
    pull(controller) {
      if (at < bytes.length) controller.enqueue(bytes.subarray(at, (at += 1000)));
      else if (error) controller.error(error);
      else controller.close();
    },
  });
}

test("a blob lies under its hash, once", async () => {
  const { blobs, files } = scratch();
  const bytes = new TextEncoder().encode("bytes");
  expect(await blobs.has(sha256(bytes))).toBe(false);
  expect(await blobs.put(bytes)).toBe(sha256(bytes));
  expect(await blobs.put(bytes)).toBe(sha256(bytes));
  expect(await blobs.has(sha256(bytes))).toBe(true);
  expect(new Uint8Array(await blobs.read(sha256(bytes)))).toEqual(bytes);
  expect(files()).toEqual([sha256(bytes)]);
});

test("a stream is kept when it is what its name says, also when several send it at once", async () => {
  const { blobs, files } = scratch();
  const bytes = crypto.getRandomValues(new Uint8Array(5500));
  await Promise.all([1, 2, 3].map(() => blobs.putStream(sha256(bytes), streamOf(bytes))));
  expect(new Uint8Array(await blobs.read(sha256(bytes)))).toEqual(bytes);
  expect(files()).toEqual([sha256(bytes)]);
});

test("a stream that is cut short, damaged or broken off leaves nothing", async () => {
  const { blobs, files } = scratch();
  const bytes = crypto.getRandomValues(new Uint8Array(5500));
  const hash = sha256(bytes);
  const damaged = bytes.slice();
  damaged[5000]! ^= 1;
  await expect(blobs.putStream(hash, streamOf(bytes.subarray(0, 5499)))).rejects.toThrow(BlobMismatch);
  await expect(blobs.putStream(hash, streamOf(damaged))).rejects.toThrow(BlobMismatch);
  await expect(blobs.putStream(hash, streamOf(bytes, new Error("gone")))).rejects.toThrow("gone");
  expect(files()).toEqual([]);
  expect(await blobs.has(hash)).toBe(false);
});
