// The search for the fastest candidate: who wins, what is remembered, and when it ends. Candidates and clock are made up.
import { describe, expect, test } from "vitest";
import { Budget, fastest, search, type Contender, type Entry } from "../../web/engine/autotune/search.ts";
import { NOTHING_KNOWN, TuningRecord, type KnownTuning } from "../../web/engine/autotune/tuning-record.ts";

class Clock {
  ms = 0;
  readonly now = () => this.ms;
}

/** What is written down, newest last. */
function recorder(known: KnownTuning = NOTHING_KNOWN) {
  const saved: KnownTuning[] = [];
  const record = new TuningRecord(known, async (now) => void saved.push(now));
  return { record, saved };
}

interface Made {
  readonly ms: number;
  readonly right?: boolean;
  readonly loses?: boolean;
}

/** A class whose candidates take the given times on `clock`; `ran` notes every check and run. */
function contest(key: string, clock: Clock, made: Readonly<Record<string, Made>>, ran: string[] = []): Entry {
  const contenders = Object.entries(made).map(([name, { ms, right = true, loses = false }]): Contender => {
    const run = async <T>(result: T) => {
      if (loses) throw new Error("the GPU device was lost");
      clock.ms += ms;
      ran.push(name);
      return result;
    };
    return { name, check: () => run(right), time: () => run(ms) };
  });
  return { key, open: async () => ({ contenders, close: () => ran.push(`close ${key}`) }) };
}

const LONG = 1e9;

describe("a search", () => {
  test("takes the fastest, and closes what it opened", async () => {
    const clock = new Clock();
    const ran: string[] = [];
    const { record, saved } = recorder();
    const made = { table: { ms: 10 }, slow: { ms: 40 }, fast: { ms: 7 } };
    await search([contest("one", clock, made, ran)], record, new Budget(LONG, clock.now));
    expect(record.best("one")).toBe("fast");
    expect(saved.at(-1)).toEqual({ best: { one: "fast" }, bad: [], trying: null });
    expect(ran.filter((name) => name === "table")).toHaveLength(6);
    expect(ran.filter((name) => name === "slow")).toHaveLength(2);
    expect(ran.at(-1)).toBe("close one");
  });

  test("what computes wrong never wins, and is not run again", async () => {
    const clock = new Clock();
    const ran: string[] = [];
    const { record } = recorder();
    const made = { table: { ms: 10 }, wrong: { ms: 1, right: false } };
    const entries = ["one", "two"].map((key) => contest(key, clock, made, ran));
    await search(entries, record, new Budget(LONG, clock.now));
    expect([record.best("one"), record.best("two")]).toEqual(["table", "table"]);
    expect(record.isBad("wrong")).toBe(true);
    expect(ran.filter((name) => name === "wrong")).toHaveLength(1);
  });

  test("where the table's computes wrong, another stands in for it", async () => {
    const clock = new Clock();
    const { record } = recorder();
    const made = { table: { ms: 1, right: false }, other: { ms: 10 } };
    await search([contest("one", clock, made)], record, new Budget(LONG, clock.now));
    expect(record.best("one")).toBe("other");
  });

  test("a candidate that loses the device is bad for the next search, which does not run it", async () => {
    const clock = new Clock();
    const { record, saved } = recorder();
    const made = { table: { ms: 10 }, killer: { ms: 1, loses: true }, fast: { ms: 5 } };
    const first = search([contest("one", clock, made)], record, new Budget(LONG, clock.now));
    await expect(first).rejects.toThrow("the GPU device was lost");
    expect(saved.at(-1)).toEqual({ best: {}, bad: [], trying: "killer" });

    const again = recorder(saved.at(-1));
    await search([contest("one", clock, made)], again.record, new Budget(LONG, clock.now));
    expect(again.saved.at(-1)).toEqual({ best: { one: "fast" }, bad: ["killer"], trying: null });
  });

  test("the mark of a candidate is written before it runs", async () => {
    const clock = new Clock();
    const events: string[] = [];
    const record = new TuningRecord(
      NOTHING_KNOWN,
      async ({ trying }) => void events.push(`trying ${trying}`),
    );
    await search([contest("one", clock, { table: { ms: 1 } }, events)], record, new Budget(LONG, clock.now));
    expect(events.slice(0, 4)).toEqual(["trying table", "table", "table", "trying null"]);
  });

  test("what is known is not searched again", async () => {
    const clock = new Clock();
    const ran: string[] = [];
    const { record } = recorder({ best: { one: "fast" }, bad: [], trying: null });
    await search([contest("one", clock, { table: { ms: 1 } }, ran)], record, new Budget(LONG, clock.now));
    expect(ran).toEqual([]);
    expect(record.best("one")).toBe("fast");
  });
});

describe("the budget", () => {
  const made = { table: { ms: 100 }, fast: { ms: 50 } };

  test("is kept; classes that are not finished are left for the next search", async () => {
    const clock = new Clock();
    const { record } = recorder();
    const entries = ["one", "two", "three"].map((key) => contest(key, clock, made));
    await search(entries, record, new Budget(2000, clock.now));
    expect(clock.ms).toBeLessThanOrEqual(2000);
    expect([record.best("one"), record.best("two"), record.best("three")]).toEqual([
      "fast",
      "fast",
      undefined,
    ]);
    await search(entries, record, new Budget(2000, clock.now));
    expect(record.best("three")).toBe("fast");
  });

  test("a class that had all of it and did not finish keeps the table's", async () => {
    const clock = new Clock();
    const { record } = recorder();
    await search([contest("one", clock, made)], record, new Budget(500, clock.now));
    expect(clock.ms).toBeLessThanOrEqual(500);
    expect(record.best("one")).toBe("table");
  });

  test("a run as long as the longest so far has to fit", () => {
    const clock = new Clock();
    const budget = new Budget(100, clock.now);
    expect(budget.allows()).toBe(true);
    clock.ms = 45;
    expect(budget.allows()).toBe(true);
    clock.ms = 60;
    expect(budget.allows()).toBe(false);
  });
});

describe("fastest", () => {
  test.each([
    ["clearly faster", { table: [10], other: [9] }, "other"],
    ["not clearly faster", { table: [10], other: [9.6] }, "table"],
    ["by the median", { table: [10, 10, 10], other: [9, 30, 9] }, "other"],
    ["no time of the table's", { a: [10], b: [9.9] }, "b"],
    ["a clock that sees nothing", { table: [0], other: [0] }, "table"],
    ["a clock that does not see the other", { table: [10], other: [0] }, "table"],
    ["nothing works", {}, undefined],
  ])("%s", (_, times: Record<string, number[]>, expected) => {
    expect(fastest(new Map(Object.entries(times)), "table")).toBe(expected);
  });
});
