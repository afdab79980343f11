import { expect, test } from "vitest";
import { Meter } from "../../web/worker/meter.ts";

/** A clock that is set by hand, and something that takes its time. */
function clock() {
  let now = 1000;
  const sleep = async (milliseconds: number) => {
    await Promise.resolve();
    now += milliseconds;
  };
  return { now: () => now, pass: (milliseconds: number) => (now += milliseconds), sleep };
}

test("time passes at work or waiting, and each report begins anew", async () => {
  const { now, pass, sleep } = clock();
  const meter = new Meter(now);
  pass(3000);
  await meter.wait(sleep(500));
  meter.idle(0);
  expect(meter.atWork).toBe(3);
  expect(meter.take()).toEqual({ passed: 3.5, waited: 0.5, exchanging: 0, exposed: 0 });
  pass(1000);
  meter.idle(250);
  expect(meter.take()).toEqual({ passed: 1, waited: 0.25, exchanging: 0, exposed: 0 });
});

test("what the GPU still computes is not waited for", async () => {
  const { now, pass } = clock();
  const meter = new Meter(now);
  let arrive = () => {};
  let finish = () => {};
  const frame = new Promise<void>((resolve) => (arrive = resolve));
  const idle = new Promise<void>((resolve) => (finish = resolve));
  const waiting = meter.wait(frame, idle);
  pass(700);
  expect(meter.isWaiting).toBe(false);
  finish();
  await idle;
  expect(meter.isWaiting).toBe(true);
  pass(300);
  arrive();
  await waiting;
  expect(meter.isWaiting).toBe(false);
  expect(meter.take().waited).toBe(0.3);
  const busy = meter.wait(Promise.resolve(), new Promise(() => {}));
  pass(100);
  await busy;
  expect(meter.take().waited).toBe(0);
});

test("an exchange is hidden as far as nobody waits for it", async () => {
  const { now, pass, sleep } = clock();
  const meter = new Meter(now);
  let end = () => {};
  const exchange = meter.exchange(new Promise<void>((resolve) => (end = resolve)));
  pass(4000);
  const waiting = meter.waitForExchange(exchange.then(() => {}));
  await sleep(1000);
  end();
  await waiting;
  expect(meter.take()).toEqual({ passed: 5, waited: 1, exchanging: 5, exposed: 1 });
});

test("what fails was waited for all the same", async () => {
  const { now, pass } = clock();
  const meter = new Meter(now);
  await meter.wait(Promise.reject(new Error("gone")).finally(() => pass(100))).catch(() => {});
  expect(meter.take().waited).toBe(0.1);
});

test("waits within a wait are time once", async () => {
  const { now, pass, sleep } = clock();
  const meter = new Meter(now);
  const exchange = async () => {
    await sleep(200);
    await meter.waitForExchange(meter.exchange(sleep(300)));
    await sleep(100);
  };
  await meter.wait(exchange());
  pass(400);
  expect(meter.take()).toEqual({ passed: 1, waited: 0.6, exchanging: 0.3, exposed: 0.3 });
});
