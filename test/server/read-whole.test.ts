import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { Blobs } from "../../server/blobs.ts";
import { Checkpoints } from "../../server/checkpoints.ts";
import { readWhole } from "../../server/read-whole.ts";

let folder: string;
beforeEach(async () => void (folder = await mkdtemp(join(tmpdir(), "tributary-"))));
afterEach(() => rm(folder, { recursive: true }));

test.each([0, 1, 6, 7, 20])("a file of %i bytes, in pieces", async (length) => {
  const bytes = Uint8Array.from({ length }, (_, i) => i);
  await writeFile(join(folder, "file"), bytes);
  expect(await readWhole(join(folder, "file"), 6)).toEqual(bytes);
});

test("a model's file that cannot be read is not said to be missing", async () => {
  const checkpoints = new Checkpoints(folder, new Blobs(folder));
  await expect(checkpoints.importDirectory(folder, "x")).rejects.toThrow(/has no config\.json/);
  await mkdir(join(folder, "config.json"));
  await expect(checkpoints.importDirectory(folder, "x")).rejects.toThrow(
    /config\.json cannot be read: EISDIR/,
  );
});
