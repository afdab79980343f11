// A worker's part in a checkpoint: one snapshot at a time, and one answer for each order that nobody has taken back.
import { expect, test } from "vitest";
import { Saver } from "../../web/worker/saver.ts";
import type { ShardDraft } from "../../web/worker/stage-state.ts";
import type { TrainerReport } from "../../web/worker/worker-messages.ts";

const order = (step: number) => ({ type: "save", generation: 1, step }) as const;
const turns = () => new Promise((resolve) => setTimeout(resolve));
const shard = { hash: "0".repeat(64), bytes: 1, tensors: ["x"] };
const blobs = { put: () => Promise.reject(new Error("the draft's own")) };

interface Upload {
  readonly signal: AbortSignal;
  readonly finish: () => void;
  readonly fail: (error: Error) => void;
}

/** A saver whose uploads take until the test says. */
function bench() {
  const reports: TrainerReport[] = [];
  const uploads: Upload[] = [];
  const saver = new Saver((report) => reports.push(report));
  const draft: ShardDraft = {
    upload: (_, signal) =>
      new Promise((resolve, fail) => uploads.push({ signal, finish: () => resolve(shard), fail })),
  };
  const begin = (step: number, drafted = () => Promise.resolve(draft)) =>
    saver.begin(order(step), "run-1", drafted, blobs);
  return { saver, reports, uploads, begin };
}

test("the stage goes on once the shard is drafted; the upload's end is reported", async () => {
  const { reports, uploads, begin } = bench();
  await begin(2);
  expect(reports).toEqual([]);
  uploads[0]!.finish();
  await turns();
  await begin(4);
  uploads[1]!.fail(new Error("the server answered 507"));
  await turns();
  expect(reports).toEqual([
    { type: "saved", generation: 1, step: 2, shard },
    { type: "unsaved", generation: 1, step: 4, reason: "the server answered 507" },
  ]);
});

test("what cannot be drafted is reported, and no reason for the stage to stop", async () => {
  const { reports, begin } = bench();
  await begin(2, () => Promise.reject(new RangeError("Array buffer allocation failed")));
  await turns();
  expect(reports).toEqual([
    { type: "unsaved", generation: 1, step: 2, reason: "Array buffer allocation failed" },
  ]);
});

test.each([
  { name: "it is taken back", drop: ({ saver }: ReturnType<typeof bench>) => saver.drop() },
  { name: "another run begins", drop: ({ saver }: ReturnType<typeof bench>) => saver.dropUnlessOf("run-2") },
  { name: "another is begun", drop: ({ begin }: ReturnType<typeof bench>) => begin(4) },
])("an upload ends without a word when $name", async ({ drop }) => {
  const all = bench();
  const { saver, reports, uploads, begin } = all;
  await begin(2);
  saver.dropUnlessOf("run-1");
  expect(uploads[0]!.signal.aborted).toBe(false);
  await drop(all);
  expect(uploads[0]!.signal.aborted).toBe(true);
  uploads[0]!.finish();
  await turns();
  expect(reports).toEqual([]);
});

test("one that is taken back before it is drafted is not uploaded", async () => {
  const { saver, reports, uploads, begin } = bench();
  const begun = begin(2);
  saver.drop();
  await begun;
  await turns();
  expect(uploads).toEqual([]);
  expect(reports).toEqual([]);
});
