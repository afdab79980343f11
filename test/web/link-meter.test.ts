// What a link is found to carry, from made-up times; and the burst that a new link begins with.
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { LinkFigure } from "../../core/plan/speed.ts";
import { Burst } from "../../web/link/burst.ts";
import { LinkMeter } from "../../web/link/link-meter.ts";
import { HEARTBEAT_MS, HIGH_WATER_BYTES } from "../../web/link/lane.ts";
import { SAMPLE_MS } from "../../web/link/lane-tuner.ts";
import { end, flush, join, linked, type End } from "./memory-carriers.ts";

const MiB = 1024 * 1024;
/** Of a burst. */
const MOST_BYTES = 8000;

/** A line of so many bytes a millisecond, so far away: when the last of these probes is back. */
const timeOn = (rate: number, roundTrip: number, bytes: number) => roundTrip + bytes / rate;

/** Plays a burst on the line; what it sent, after which rest, and the meter that took it. */
function play(rate: number, roundTrip: number) {
  const [burst, meter] = [new Burst(), new LinkMeter()];
  const rounds: { bytes: number; ms: number; rested: boolean }[] = [];
  for (;;) {
    let round = burst.begin();
    const rested = !round;
    if (!round) {
      // A heartbeat's probe.
      expect(burst.echoed(0, roundTrip)).toBeUndefined();
      round = burst.begin();
    }
    if (!round) return { meter, rounds };
    expect(burst.begin()).toBeUndefined();
    const bytes = round.probes * round.bytes;
    const ms = timeOn(rate, roundTrip, bytes);
    if (round.bytes > 0) expect(burst.echoed(0, roundTrip)).toBeUndefined();
    for (let i = 1; i < round.probes; i++) expect(burst.echoed(round.bytes, ms)).toBeUndefined();
    expect(burst.echoed(round.bytes, ms)).toBe(round);
    if (round.bytes === 0) meter.roundTrip(ms);
    else meter.probed(bytes, ms);
    rounds.push({ bytes, ms, rested });
  }
}

const total = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0);

describe("a burst", () => {
  test("is bounded in bytes on a fast line and in time at once on a slow one, whichever line it is", () => {
    const line = fc.record({
      rate: fc.double({ min: 1, max: 1e6, noNaN: true }),
      roundTrip: fc.double({ min: 0.1, max: 3000, noNaN: true }),
    });
    fc.assert(
      fc.property(line, ({ rate, roundTrip }) => {
        const { rounds } = play(rate, roundTrip);
        expect(total(rounds.map(({ bytes }) => bytes))).toBeLessThan(MOST_BYTES);
        const full = rounds.filter(({ bytes }) => bytes > 0);
        expect(full).toHaveLength(2);
        for (const [i, { bytes, ms, rested }] of full.slice(1).entries()) {
          const before = full[i]!;
          expect(rested).toBe(before.ms > 250);
          if (rested) expect(bytes).toBe(before.bytes);
          else expect(ms).toBeLessThanOrEqual(500);
        }
      }),
    );
  });

  test("finds the line's delay, and a rate that the line has at least", () => {
    for (const [rate, roundTrip] of [
      [2500, 50],
      [125, 10],
      [15_000, 1],
    ] as const) {
      const { bytesPerSecond, delay } = play(rate, roundTrip).meter.speed!;
      expect(bytesPerSecond).toBeLessThan(1000 * rate);
      // What the second round of four probes comes to, the way there and back included.
      expect(bytesPerSecond).toBeCloseTo((1000 * 4800) / timeOn(rate, roundTrip, 4800), 0);
      expect(delay).toBeCloseTo(roundTrip / 2000, 9);
    }
  });

  test("gives a figure though the page was busy at first", () => {
    const [burst, meter] = [new Burst(), new LinkMeter()];
    for (let i = 0, round; i < 40; i++) {
      if (!(round = burst.begin())) burst.echoed(0, 1);
      for (let n = round?.probes ?? 0; n > 0; n--) {
        const ms = i < 4 ? 700 : timeOn(1000, 1, round!.bytes * round!.probes);
        if (!burst.echoed(round!.bytes, ms)) continue;
        if (round!.bytes === 0) meter.roundTrip(ms);
        else meter.probed(round!.bytes * round!.probes, ms);
      }
    }
    meter.roundTrip(1);
    expect(meter.speed!.bytesPerSecond).toBeGreaterThan(0.6e6);
  });
});

describe("a meter", () => {
  const known = (rate: number, roundTrip = 2): LinkMeter => {
    const meter = new LinkMeter();
    meter.roundTrip(roundTrip);
    meter.probed(100 * rate, 100);
    return meter;
  };

  test("says nothing before it knows rate and round trip", () => {
    const meter = new LinkMeter();
    meter.managed(1e9, 10);
    meter.carried(1000, 10);
    expect(meter.speed).toBeUndefined();
    meter.roundTrip(4);
    expect(meter.speed).toEqual({ bytesPerSecond: 100_000, delay: 0.002, filled: true });
  });

  test("what was found without filling the link is a lower bound, and gives way to what fills it", () => {
    const meter = known(50);
    expect(meter.speed).toEqual({ bytesPerSecond: 50_000, delay: 0.001, filled: false });
    meter.managed(8000, 100);
    meter.managed(1000, 100);
    expect(meter.speed).toMatchObject({ bytesPerSecond: 80_000, filled: false });
    meter.carried(2000, 100);
    expect(meter.speed).toMatchObject({ bytesPerSecond: 20_000, filled: true });
  });

  test("comes to what the link carries, and stays between the figures it has seen", () => {
    const rates = fc.array(fc.double({ min: 1, max: 1e5, noNaN: true }), { minLength: 1, maxLength: 40 });
    fc.assert(
      fc.property(rates, ([first, ...later]) => {
        const meter = known(first!);
        for (const rate of later) meter.carried(SAMPLE_MS * rate, SAMPLE_MS);
        const { bytesPerSecond } = meter.speed!;
        expect(bytesPerSecond).toBeGreaterThanOrEqual(1000 * Math.min(first!, ...later) * (1 - 1e-9));
        expect(bytesPerSecond).toBeLessThanOrEqual(1000 * Math.max(first!, ...later) * (1 + 1e-9));
        const last = later.at(-1) ?? first!;
        for (let ms = 0; ms < 10_000; ms += SAMPLE_MS) meter.carried(SAMPLE_MS * last, SAMPLE_MS);
        expect(meter.speed!.bytesPerSecond / (1000 * last)).toBeGreaterThan(0.99);
        // 2^-10 of the first figure is left at most.
        expect(meter.speed!.bytesPerSecond).toBeLessThan(1000 * last * 1.01 + 1e5);
      }),
    );
  });

  test("says nothing or a speed, though timers come together and what waits grows", () => {
    const sample = fc.record({
      bytes: fc.integer({ min: -100, max: 1e6 }),
      ms: fc.integer({ min: 0, max: 300 }),
    });
    fc.assert(
      fc.property(fc.boolean(), fc.array(sample), (isKnown, samples) => {
        const meter = isKnown ? known(1) : new LinkMeter();
        meter.roundTrip(1);
        for (const { bytes, ms } of samples) meter.carried(bytes, ms);
        expect(LinkFigure.optional().safeParse(meter.speed).success).toBe(true);
      }),
    );
  });

  test("what was carried with pauses can only raise the figure", () => {
    const meter = known(100);
    meter.managed(1000, 500);
    expect(meter.speed!.bytesPerSecond).toBeCloseTo(100_000, 6);
    meter.managed(200_000, 1000);
    expect(meter.speed!.bytesPerSecond).toBeCloseTo(200_000, 6);
  });

  test("the shortest of the last round trips counts, so that a longer way shows after a while", () => {
    const meter = known(100, 5);
    for (const ms of [80, 5, 30, 40]) meter.roundTrip(ms);
    expect(meter.speed!.delay).toBe(0.0025);
    for (let i = 0; i < 8; i++) meter.roundTrip(20 + i);
    expect(meter.speed!.delay).toBe(0.01);
  });
});

describe("a link", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  /** Two ends whose greetings have arrived, and nothing since. */
  function greeted(): [End, End] {
    const [a, b] = [end(), end()];
    join(a, b);
    for (let i = 0; i < 2; i++) for (const { carriers } of [a, b]) carriers[0]!.deliver(1);
    return [a, b];
  }

  test("measures itself as it opens, counts that apart, and measures the way again with heartbeats", async () => {
    const [a, b] = greeted();
    expect(a.link.speed).toBeUndefined();
    for (let i = 0; i < 40; i++) {
      await vi.advanceTimersByTimeAsync(3);
      for (const { carriers } of [b, a]) carriers[0]!.deliver();
    }
    expect(a.link.speed!.delay).toBeCloseTo(0.0015, 6);
    expect(a.link.speed!.bytesPerSecond).toBeGreaterThan(0);
    const { probe } = a.bytes;
    expect(probe).toBeGreaterThan(6 * 1200);
    expect(probe).toBeLessThan(MOST_BYTES);
    await vi.advanceTimersByTimeAsync(HEARTBEAT_MS - 40 * 3);
    flush(a, b);
    // One, and the echo of the other side's.
    expect(a.bytes["probe"]).toBe(probe! + 2);
    expect(a.link.speed!.delay).toBe(0);
  });

  test("begins no round of probes while frames wait, and goes on with a heartbeat", async () => {
    const [a, b] = greeted();
    void a.link.send(new ArrayBuffer(HIGH_WATER_BYTES));
    flush(a, b);
    expect(a.link.speed).toBeUndefined();
    expect(a.bytes["probe"]).toBeLessThan(100);
    await vi.advanceTimersByTimeAsync(HEARTBEAT_MS);
    flush(a, b);
    expect(a.link.speed!.bytesPerSecond).toBeGreaterThan(0);
    expect(a.bytes["probe"]).toBeGreaterThan(6 * 1200);
  });

  test("whose lane dies in the middle of the burst goes on over the next", async () => {
    const [a, b] = greeted();
    a.carriers[0]!.deliver();
    a.carriers[0]!.close();
    expect(a.link.speed).toBeUndefined();
    join(a, b);
    flush(a, b);
    expect(a.link.speed!.bytesPerSecond).toBeGreaterThan(0);
  });

  test("counts only time in which frames waited for room all along", async () => {
    const [a, b] = linked();
    const [carrier] = a.carriers;
    const chunks = async (count: number, ms: number) => {
      for (let i = 0; i < count; i++) {
        await vi.advanceTimersByTimeAsync(ms);
        carrier!.deliver(1);
      }
    };
    void a.link.send(new ArrayBuffer(16 * MiB));
    // 64 KiB every 10 ms, for long enough to forget the burst, which took no time.
    await chunks(200, 10);
    for (let i = 0; i < 10; i++) {
      void a.link.send(new ArrayBuffer(16 * MiB));
      flush(b);
      await chunks(250, 10);
    }
    const carried = a.link.speed!.bytesPerSecond;
    expect(carried / 6.5536e6).toBeGreaterThan(0.95);
    expect(carried / 6.5536e6).toBeLessThan(1.3);
    flush(a, b);
    // A small frame now and then, each there at once, says nothing about how much the link carries.
    for (let i = 0; i < 20; i++) {
      await a.link.send(new ArrayBuffer(1000));
      flush(a, b);
      await vi.advanceTimersByTimeAsync(500);
      flush(a, b);
    }
    expect(a.link.speed!.bytesPerSecond).toBeGreaterThanOrEqual(carried);
  });

  test("that loses a lane with frames in its buffer does not count them as sent", async () => {
    const [a, b] = linked({}, 2);
    const chunks = async (lane: number, count: number) => {
      for (let i = 0; i < count; i++) {
        await vi.advanceTimersByTimeAsync(10);
        a.carriers[lane]!.deliver(1);
      }
    };
    void a.link.send(new ArrayBuffer(16 * MiB));
    await chunks(0, 10);
    expect(a.carriers[0]!.bufferedAmount).toBeGreaterThan(2 * 65_536);
    b.carriers[0]!.close();
    await chunks(1, SAMPLE_MS / 10);
    // 64 KiB every 10 ms, before and after; the last of them comes after the sample.
    expect(a.link.speed!.bytesPerSecond / 6.5536e6).toBeGreaterThan(0.9);
    expect(a.link.speed!.bytesPerSecond / 6.5536e6).toBeLessThanOrEqual(1);
  });
});
