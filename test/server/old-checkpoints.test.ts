// Which checkpoints a run deletes once there are newer ones.
import { expect, test, vi } from "vitest";
import type { RunConfig } from "../../core/model/config.ts";
import type { RunEvent } from "../../core/protocol/events.ts";
import { Cohort } from "../../server/cohort.ts";
import { Saves } from "../../server/saves.ts";
import { tinyConfig } from "../fixtures/configs.ts";
import { fakeWorker, HASH } from "./fake-workers.ts";

/** What is deleted with each of three checkpoints, of steps 2, 4 and 6. */
async function deletions(keepCheckpoints: RunConfig["keepCheckpoints"], keepLatest: () => Promise<void>) {
  const deleting = vi.fn(keepLatest);
  const log: RunEvent[] = [];
  const saves = new Saves({
    id: "run-1",
    config: tinyConfig({ keepCheckpoints }),
    corpus: { source: { hash: HASH, bytesPerToken: 1, count: 2, validFrom: 1 }, tokenizerHash: "t" },
    checkpoints: { save: async () => {}, keepLatest: deleting },
    start: null,
    emit: (event) => log.push(event),
    onStored: () => {},
  });
  const cohort = new Cohort(1, [fakeWorker("a-1", () => {}).port]);
  for (const step of [2, 4, 6]) {
    saves.begin(step, cohort, { savers: ["a-1"] });
    const shard = { hash: HASH, bytes: 1, tensors: [] };
    saves.deliver("a-1", { type: "saved", generation: 1, step, shard });
    await saves.settled();
  }
  expect(log.map((event) => event.event === "checkpoint" && event.step)).toEqual([2, 4, 6]);
  return deleting.mock.calls;
}

test("old checkpoints go as each newer one is there; the run's text and tokenizer stay", async () => {
  const calls = await deletions(2, async () => {});
  expect(calls).toEqual([2, 4, 6].map(() => ["run-1", 2, [HASH, "t"]]));
});

test("those that cannot be deleted do not keep the run from saving", async () => {
  expect(await deletions(1, () => Promise.reject(new Error("the disk is read-only")))).toHaveLength(3);
});

test("all stay where all are to be kept", async () => {
  expect(await deletions("all", async () => {})).toEqual([]);
});
