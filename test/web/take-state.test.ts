// How long a worker waits for a state that another is to give, over a made-up line. That what is taken is right:
// test/kernels/moving-state.test.ts.
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { Channel } from "../../web/worker/channel.ts";
import type { StoredStage } from "../../web/worker/stage-state.ts";
import { takeState } from "../../web/worker/take-state.ts";
import { tinyConfig } from "../fixtures/configs.ts";

const PIECE = 256 * 1024;

beforeEach(() => void vi.useFakeTimers({ toFake: ["performance", "setTimeout", "clearTimeout"] }));
afterEach(() => void vi.useRealTimers());

/** Takes two pieces of each array over a line that brings one after the other, `most` in all; how many were written. */
async function take(secondsPerPiece: number, most: number): Promise<number> {
  let written = 0;
  const stage = { segment: { start: 0, end: 2 * PIECE }, write: () => void written++ };
  const stored = { stage, outer: null, unsaid: null } as unknown as StoredStage;
  let [asked, busyUntil] = [0, 0];
  const channel: Pick<Channel, "send" | "receive"> = {
    send: () => {},
    receive: () =>
      new Promise((resolve) => {
        if (asked++ === most) return;
        busyUntil = Math.max(busyUntil, performance.now()) + 1000 * secondsPerPiece;
        setTimeout(() => resolve(new Float32Array(PIECE)), busyUntil - performance.now());
      }),
  };
  const takes = [{ what: "trained", from: "a-1", start: 0, end: 2 * PIECE }] as const;
  const { model } = tinyConfig();
  const taken = takeState(stored, { self: "a-2", model, step: 1, takes, held: null, channel });
  taken.catch(() => {});
  await vi.advanceTimersByTimeAsync(1_000_000);
  await taken;
  return written;
}

test("a slow line brings a state in the end, however long a piece waits for those before it", async () => {
  expect(await take(40, 6)).toBe(6);
});

test("a worker that has fallen silent is an error", async () => {
  await expect(take(1, 5)).rejects.toThrow(/^worker a-1 gave no state for 60 s$/);
  await expect(take(70, 6)).rejects.toThrow(/^worker a-1 gave no state for 60 s$/);
});
