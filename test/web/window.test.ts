// How much a wide link lets the network hold, on lines whose rate, delay and queue the test knows.
import { expect, test } from "vitest";
import { Window } from "../../web/link/window.ts";

const CHUNK = 64 * 1024;

/** Keeps the window full on a line for a while; returns the most that the line's queue held, in bytes. */
function run(window: Window, bytesPerMs: number, roundTripMs: number, chunks: number): number {
  let fullest = 0;
  let lineFree = 0;
  const underWay: { sent: number; arrives: number }[] = [];
  let now = 0;
  for (let i = 0; i < chunks;) {
    while ((underWay.length + 1) * CHUNK <= window.bytes && i++ < chunks) {
      lineFree = Math.max(now, lineFree) + CHUNK / bytesPerMs;
      fullest = Math.max(fullest, (lineFree - now) * bytesPerMs);
      underWay.push({ sent: now, arrives: lineFree + roundTripMs });
    }
    const first = underWay.shift()!;
    now = first.arrives;
    window.arrived(first.sent, now, true);
  }
  return fullest;
}

test("a slow line's queue is not overfilled", () => {
  expect(run(new Window(), 2500, 50, 2000)).toBeLessThan(500 * 1000);
});

test("a line that holds more than the least window comes to be filled", () => {
  const window = new Window();
  run(window, 12_500, 100, 2000);
  expect(window.bytes).toBeGreaterThan(12_500 * 100);
});

test("a window that frames do not wait for stays as it is", () => {
  const window = new Window();
  const { bytes } = window;
  for (let i = 0; i < 100; i++) window.arrived(1000 * i, 1000 * i + 10, false);
  expect(window.bytes).toBe(bytes);
});

test("chunks that take longer and longer shrink it to its least", () => {
  const window = new Window();
  const { bytes } = window;
  for (let i = 0; i < 10; i++) window.arrived(1000 * i, 1000 * i + 10, true);
  expect(window.bytes).toBeGreaterThan(bytes);
  for (let i = 10; i < 60; i++) window.arrived(1000 * i, 1000 * i + 100, true);
  expect(window.bytes).toBe(bytes);
});
