// Nudging a queue while it is waited for, where the browser needs it.
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { waitFor } from "../../web/engine/waiting.ts";

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

/** A promise that the test settles. */
function deferred<T>() {
  let resolve!: (value: T) => void;
  let reject!: (why: Error) => void;
  const promise = new Promise<T>((settle, refuse) => ([resolve, reject] = [settle, refuse]));
  return { promise, resolve, reject };
}

const queueOf = (submit: () => void) => ({ submit }) as unknown as GPUQueue;

test("Firefox is given nothing to do as long as anyone waits, by one timer", async () => {
  vi.stubGlobal("navigator", { userAgent: "Gecko/20100101 Firefox/153.0" });
  const submit = vi.fn();
  const queue = queueOf(submit);
  const first = deferred<number>();
  const second = deferred<number>();
  const waits = [waitFor(queue, first.promise), waitFor(queue, second.promise)];
  vi.advanceTimersByTime(10);
  expect(submit).toHaveBeenCalledTimes(5);
  expect(submit).toHaveBeenCalledWith([]);
  first.resolve(1);
  await waits[0];
  vi.advanceTimersByTime(10);
  expect(submit).toHaveBeenCalledTimes(10);
  second.reject(new Error("lost"));
  await expect(waits[1]).rejects.toThrow("lost");
  vi.advanceTimersByTime(100);
  expect(submit).toHaveBeenCalledTimes(10);
});

test("other browsers are left alone", async () => {
  vi.stubGlobal("navigator", { userAgent: "Chrome/156.0.0.0 Safari/537.36" });
  const submit = vi.fn();
  const wait = deferred<string>();
  const waiting = waitFor(queueOf(submit), wait.promise);
  vi.advanceTimersByTime(100);
  wait.resolve("done");
  expect(await waiting).toBe("done");
  expect(submit).not.toHaveBeenCalled();
});
