// The probe on this machine's GPU: it comes to an end with figures, keeps to a pace, and stops when it is told to.
import { expect, test } from "vitest";
import { WorkerSpeed } from "../../core/plan/speed.ts";
import { probe } from "../../web/worker/probe.ts";
import { gpu } from "./device.ts";

test("it gives speeds above 0", async () => {
  const rates = await probe(gpu, null, () => false);
  expect(WorkerSpeed.safeParse({ ...rates, memory: 1 })).toMatchObject({ success: true });
});

test("a worker that is slowed to far below its speed is as fast as its pace says", async () => {
  const rates = (await probe(gpu, 1e-6, () => false))!;
  expect(rates.block).toBeCloseTo(1e3, 3);
  expect(rates.head).toBeCloseTo(1e3, 3);
  // Of hundred thousands of seconds.
  expect(rates.overhead).toBeLessThan(0.1);
});

test("it stops between two timings", async () => {
  let asked = 0;
  expect(await probe(gpu, null, () => ++asked > 2)).toBe(null);
  expect(asked).toBe(3);
});
