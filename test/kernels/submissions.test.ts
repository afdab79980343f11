// Whether a GPU gets on with its work, on a queue that does what the test says.
import { expect, test } from "vitest";
import { isStalled, submit, track } from "../../web/engine/submissions.ts";

/** `finish` ends the oldest work that was submitted. */
function queueByHand() {
  const ends: (() => void)[] = [];
  const queue = {
    submit: () => {},
    onSubmittedWorkDone: () => new Promise<void>((resolve) => ends.push(resolve)),
  } as unknown as GPUQueue;
  const finish = async () => {
    ends.shift()!();
    await Promise.resolve();
  };
  return { queue, finish };
}

test("a queue with nothing to do is not stalled", async () => {
  const { queue, finish } = queueByHand();
  expect(isStalled(queue)).toBe(false);
  void submit(queue, []);
  await finish();
  expect([isStalled(queue), isStalled(queue)]).toEqual([false, false]);
});

test("one with work is, until some of it is finished, and again when nothing more is", async () => {
  const { queue, finish } = queueByHand();
  for (let i = 0; i < 3; i++) void submit(queue, []);
  expect([isStalled(queue), isStalled(queue)]).toEqual([true, true]);
  await finish();
  expect([isStalled(queue), isStalled(queue)]).toEqual([false, true]);
  await finish();
  await finish();
  expect([isStalled(queue), isStalled(queue)]).toEqual([false, false]);
});

test("what fails is finished as well, and its failure is the caller's", async () => {
  const { queue } = queueByHand();
  const compiled = track(queue, Promise.reject(new Error("no such entry point")));
  expect(isStalled(queue)).toBe(true);
  await expect(compiled).rejects.toThrow("no such entry point");
  expect(isStalled(queue)).toBe(false);
});
