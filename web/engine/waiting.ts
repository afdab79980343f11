// Waiting for the GPU. Firefox looks only every 100 ms at what the GPU has finished, but also whenever work is
// submitted: submitting nothing now and then brings the answer within milliseconds.

const NUDGE_MS = 2;

interface Nudging {
  waits: number;
  readonly timer: ReturnType<typeof setInterval>;
}
const nudged = new WeakMap<GPUQueue, Nudging>();

/** Resolves with `wait`, a promise that the browser settles when the queue's work is done. */
export async function waitFor<T>(queue: GPUQueue, wait: Promise<T>): Promise<T> {
  if (!needsNudges()) return wait;
  let nudging = nudged.get(queue);
  if (!nudging) {
    nudging = { waits: 0, timer: setInterval(() => queue.submit([]), NUDGE_MS) };
    nudged.set(queue, nudging);
  }
  nudging.waits++;
  try {
    return await wait;
  } finally {
    nudging.waits--;
    if (nudging.waits === 0) {
      clearInterval(nudging.timer);
      nudged.delete(queue);
    }
  }
}

/** All work submitted so far is done. */
export const workDone = (queue: GPUQueue): Promise<void> => waitFor(queue, queue.onSubmittedWorkDone());

const needsNudges = () => globalThis.navigator?.userAgent?.includes("Firefox") ?? false;
