// Checkpoints that a run no longer needs: what is deleted, and what is not.
import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { expect, onTestFinished, test, vi } from "vitest";
import { encodeSafetensors } from "../../core/formats/safetensors.ts";
import { parameterSpace } from "../../core/model/parameters.ts";
import { Blobs } from "../../server/blobs.ts";
import { Checkpoints, type Checkpoint } from "../../server/checkpoints.ts";
import { tinyConfig } from "../fixtures/configs.ts";

const { model } = tinyConfig();

function scratch() {
  const data = mkdtempSync(join(tmpdir(), "tributary-checkpoints-"));
  onTestFinished(() => rmSync(data, { recursive: true, force: true }));
  const blobs = new Blobs(data);
  const checkpoints = new Checkpoints(data, blobs);
  const put = (text: string) => blobs.put(new TextEncoder().encode(text));
  const save = async (run: string | null, step: number, shards: readonly string[], tokenizer?: string) => {
    const stored = await Promise.all(
      shards.map(async (text) => ({ hash: await put(text), bytes: text.length, tensors: [] })),
    );
    const checkpoint: Checkpoint = {
      id: `${run ?? "imported"}-step-${step}`,
      run,
      step,
      model,
      optimizer: true,
      shards: stored,
      tokenizer: tokenizer === undefined ? null : await put(tokenizer),
    };
    await checkpoints.save(checkpoint);
    return checkpoint;
  };
  const ids = () =>
    readdirSync(join(data, "checkpoints"))
      .map((file) => file.replace(/\.json$/, ""))
      .sort();
  /** As if it had been put there two hours ago. */
  const age = (hash: string) => {
    const then = new Date(Date.now() - 2 * 3600_000);
    utimesSync(blobs.path(hash), then, then);
  };
  return { data, blobs, checkpoints, put, save, ids, age };
}

const hashOf = (text: string) => createHash("sha256").update(text).digest("hex");

test("the latest of a run stay, with all that they name; other runs and imported models lose nothing", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.array(fc.constantFrom("p", "q", "r", "s"), { minLength: 1, maxLength: 3 }), {
        minLength: 1,
        maxLength: 6,
      }),
      fc.integer({ min: 1, max: 4 }),
      async (steps, count) => {
        const { blobs, checkpoints, put, save, ids } = scratch();
        await save("other", 5, ["p", "other"], "tokens of the other");
        await save(null, 0, ["q", "imported"]);
        for (const [i, shards] of steps.entries()) await save("mine", i + 1, shards);
        const corpus = await put("s");
        await checkpoints.keepLatest("mine", count, [corpus]);
        const kept = steps.map((_, i) => i + 1).slice(-count);
        expect(ids()).toEqual(
          ["imported-step-0", "other-step-5", ...kept.map((step) => `mine-step-${step}`)].sort(),
        );
        const named = new Set(["p", "q", "s", "other", "imported", "tokens of the other"]);
        for (const shard of kept.flatMap((step) => steps[step - 1]!)) named.add(shard);
        for (const text of ["p", "q", "r", "s", "other", "imported", "tokens of the other"]) {
          const wasThere = named.has(text) || (steps.flat() as string[]).includes(text);
          expect([text, await blobs.has(hashOf(text))]).toEqual([text, wasThere && named.has(text)]);
        }
        expect((await checkpoints.find("mine")).step).toBe(steps.length);
      },
    ),
    { numRuns: 30 },
  );
});

test("a blob that nothing names is deleted once it has lain there for long, unless it is in use", async () => {
  const { blobs, checkpoints, put, save, age } = scratch();
  await save("mine", 1, ["shard"]);
  const [lost, corpus, again, young] = await Promise.all(["lost", "corpus", "again", "young"].map(put));
  for (const hash of [lost!, corpus!, again!, hashOf("shard")]) age(hash);
  // An import that finds it there counts on it.
  await put("again");
  await checkpoints.keepLatest("mine", 3, [corpus!]);
  const there = await Promise.all(
    [lost!, corpus!, again!, young!, hashOf("shard")].map((hash) => blobs.has(hash)),
  );
  expect(there).toEqual([false, true, true, true, true]);
});

test("what is no blob is left alone", async () => {
  const { data, checkpoints, save, age } = scratch();
  const { shards } = await save("mine", 1, ["shard"]);
  const note = join(data, "blobs", shards[0]!.hash.slice(0, 2), "note.txt");
  writeFileSync(note, "kept by hand");
  age(shards[0]!.hash);
  await checkpoints.keepLatest("mine", 1, []);
  expect(existsSync(note)).toBe(true);
});

test("where one manifest cannot be read, nothing is deleted", async () => {
  const { data, checkpoints, save, ids } = scratch();
  for (const step of [1, 2, 3]) await save("mine", step, [`shard ${step}`]);
  writeFileSync(join(data, "checkpoints", "newer.json"), '{"id":"newer","format":2}');
  await expect(checkpoints.keepLatest("mine", 1, [])).rejects.toThrow(/is not a checkpoint of this version/);
  expect(ids()).toEqual(["mine-step-1", "mine-step-2", "mine-step-3", "newer"]);
});

test("a checkpoint that is being read stays until it is read, and who comes too late is told what to do", async () => {
  const { blobs, checkpoints, save, ids } = scratch();
  const { tensors } = parameterSpace(model);
  const zeros = tensors.map(
    ({ name, shape, size }) => [name, { shape, values: new Float32Array(size) }] as const,
  );
  const file = encodeSafetensors(new Map(zeros));
  const shard = { hash: await blobs.put(file), bytes: file.length, tensors: tensors.map(({ name }) => name) };
  const old = await save("mine", 1, []);
  const whole = { ...old, shards: [shard] };
  await checkpoints.save(whole);
  await save("mine", 2, ["shard 2"]);
  let go = () => {};
  const turn = new Promise<void>((resolve) => (go = resolve));
  const read = vi.spyOn(blobs, "read").mockImplementation(() => turn.then(() => file));
  const reading = checkpoints.exportFile(whole, "model.safetensors");
  await checkpoints.keepLatest("mine", 1, []);
  expect(ids()).toEqual(["mine-step-1", "mine-step-2"]);
  go();
  expect((await reading)!.length).toBeGreaterThan(0);
  read.mockRestore();
  await checkpoints.keepLatest("mine", 1, []);
  expect(ids()).toEqual(["mine-step-2"]);
  await expect(checkpoints.exportFile(whole, "model.safetensors")).rejects.toThrow(
    /mine-step-1 was deleted for a newer one/,
  );
});
