// What a simulation is made of: the order of what happens, lines that vary, workers that come and go, time accounted for.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Churn } from "../../core/simulate/churn.ts";
import { Clock } from "../../core/simulate/clock.ts";
import { Ledger, PURPOSES, Watch, type Purpose } from "../../core/simulate/ledger.ts";
import { Lines } from "../../core/simulate/lines.ts";
import { TimeMean } from "../../core/simulate/mean.ts";
import { Queue } from "../../core/simulate/queue.ts";
import { StateTransfers } from "../../core/simulate/state-transfers.ts";

test("a queue gives the earliest first, and of equals the one that came first", () => {
  fc.assert(
    fc.property(fc.array(fc.option(fc.integer({ min: 0, max: 9 }), { freq: 3 })), (operations) => {
      const queue = new Queue<number>();
      let expected: { at: number; item: number }[] = [];
      for (const [item, at] of operations.entries()) {
        if (at === null) {
          const first = expected.toSorted((a, b) => a.at - b.at || a.item - b.item)[0];
          expected = expected.filter((entry) => entry !== first);
          expect(queue.first).toEqual(first && expect.objectContaining(first));
          expect(queue.pop()).toEqual(first && expect.objectContaining(first));
        } else {
          queue.push(at, item);
          expected.push({ at, item });
        }
      }
    }),
  );
});

test("a clock goes from action to action, does not do what is due at the end, and can be stopped", () => {
  const clock = new Clock();
  const seen: [string, number][] = [];
  const at = (time: number, name: string, then = () => {}) =>
    clock.at(time, () => {
      seen.push([name, clock.now]);
      then();
    });
  at(2, "b", () => at(3, "c"));
  at(1, "a");
  at(5, "never");
  clock.run(5, () => {});
  expect(seen).toEqual([
    ["a", 1],
    ["b", 2],
    ["c", 3],
  ]);
  expect(clock.now).toBe(5);
  at(6, "d", () => clock.stop());
  at(7, "never");
  clock.run(9, () => {});
  expect(seen.at(-1)).toEqual(["d", 6]);
  expect(clock.now).toBe(6);
});

describe("lines", () => {
  const anyLines = fc
    .record({
      seed: fc.integer({ min: 0, max: 99 }),
      spread: fc.double({ min: 0, max: 2, noNaN: true }),
      minutes: fc.constantFrom(0.1, 1, 7.3),
    })
    .map(
      ({ seed, ...variation }) =>
        new Lines({
          seed,
          wideLinks: new Map(["a", "b"].map((site) => [site, { bytesPerSecond: 1e6, delay: 0.01 }])),
          variations: new Map([["a", variation]]),
        }),
    );
  const bytesAt = (bytes: number) => (lines: readonly { bytesPerSecond: number }[]) =>
    bytes / Math.min(...lines.map(({ bytesPerSecond }) => bytesPerSecond));

  test("what is sent in two parts, one after the other, is sent when the whole would be", () => {
    const part = fc.double({ min: 0, max: 1e9, noNaN: true });
    fc.assert(
      fc.property(
        anyLines,
        part,
        part,
        fc.double({ min: 0, max: 1e5, noNaN: true }),
        (lines, one, two, start) => {
          const sites = ["a", "b"];
          const between = lines.endOf(sites, start, bytesAt(one));
          const end = lines.endOf(sites, between, bytesAt(two));
          expect(between).toBeGreaterThanOrEqual(start);
          expect(end / lines.endOf(sites, start, bytesAt(one + two))).toBeCloseTo(1, 9);
        },
      ),
    );
  });

  test("a rate holds for its minutes, has the described median, and constant lines stay as they are", () => {
    const lines = new Lines({
      seed: 1,
      wideLinks: new Map([["a", { bytesPerSecond: 1e6, delay: 0.01 }]]),
      variations: new Map([["a", { spread: 0.5, minutes: 10 }]]),
    });
    const rates = Array.from({ length: 2000 }, (_, i) => {
      const { bytesPerSecond } = lines.at("a", i * 600);
      expect(lines.at("a", i * 600 + 599).bytesPerSecond).toBe(bytesPerSecond);
      return Math.log(bytesPerSecond / 1e6);
    });
    const mean = rates.reduce((sum, rate) => sum + rate, 0) / rates.length;
    const deviation = Math.sqrt(rates.reduce((sum, rate) => sum + (rate - mean) ** 2, 0) / rates.length);
    expect(Math.abs(mean)).toBeLessThan(0.03);
    expect(deviation).toBeCloseTo(0.5, 1);
    expect(lines.endOf(["b"], 3, ([line]) => 8 / line!.bytesPerSecond)).toBe(3);
  });
});

test("workers are there for the share of time that they stay, and each does the same whoever else there is", () => {
  const habit = { stays: 300, away: 100 };
  const course = (names: readonly string[]) => {
    const clock = new Clock();
    const log: string[] = [];
    const churn = new Churn({
      clock,
      seed: 7,
      sites: new Map([["a", [...names, "always"]]]),
      habits: new Map(names.map((name) => [name, habit])),
      onCome: (worker) => {
        log.push(`${worker} comes ${clock.now}`);
        there.add(1);
      },
      onLeave: (worker) => {
        log.push(`${worker} leaves ${clock.now}`);
        there.add(-1);
      },
    });
    const there = new TimeMean(clock, names.filter((name) => churn.isThere(name)).length);
    clock.run(20_000, () => {});
    expect(churn.sites().get("a")).toEqual([...names.filter((name) => churn.isThere(name)), "always"]);
    return { log, share: there.mean / names.length };
  };
  const names = Array.from({ length: 200 }, (_, i) => `w-${i}`);
  const { log, share } = course(names);
  expect(share).toBeCloseTo(0.75, 2);
  const alone = course(["w-17"]).log;
  expect(alone.length).toBeGreaterThan(10);
  expect(log.filter((line) => line.startsWith("w-17 "))).toEqual(alone);
});

test("all time goes into the ledger; a loss takes back steps since the latest checkpoint, giving up only the one under way", () => {
  const turn = fc.record({
    seconds: fc.integer({ min: 0, max: 5000 }),
    to: fc.constantFrom(...PURPOSES.filter((purpose) => purpose !== "redone")),
    tokens: fc.integer({ min: 0, max: 9 }),
    what: fc.constantFrom("commit", "commit", "draft", "keep", "give up", "lose", "go on"),
  });
  fc.assert(
    fc.property(fc.array(turn), (turns) => {
      const clock = new Clock();
      const ledger = new Ledger(clock);
      const watch = new Watch(clock, ledger, 1);
      let purpose: Purpose = "waiting";
      watch.turnTo(purpose);
      let [kept, drafted, since] = [0, 0, 0];
      let [stepsDrafted, stepsSince, underWay, redone] = [0, 0, 0, 0];
      for (const { seconds, to, tokens, what } of turns) {
        clock.run(clock.now + seconds, () => {});
        watch.turnTo(to);
        if (purpose === "computing" || purpose === "exchanging") underWay += seconds;
        purpose = to;
        if (what === "commit") ledger.train(tokens);
        if (what === "commit") [since, stepsSince, underWay] = [since + tokens, stepsSince + underWay, 0];
        if (what === "draft") ledger.draft();
        if (what === "draft") {
          [drafted, since] = [drafted + since, 0];
          [stepsDrafted, stepsSince, underWay] = [stepsDrafted + stepsSince + underWay, 0, 0];
        }
        if (what === "keep") ledger.keep();
        if (what === "keep") [kept, drafted, stepsDrafted] = [kept + drafted, 0, 0];
        if (what === "give up") ledger.giveUp();
        if (what === "give up") [redone, underWay] = [redone + underWay, 0];
        if (what === "lose") ledger.lose();
        if (what === "lose") {
          redone += stepsDrafted + stepsSince + underWay;
          [drafted, since, stepsDrafted, stepsSince, underWay] = [0, 0, 0, 0, 0];
        }
      }
      watch.turnTo(null);
      const page = ledger.close();
      expect(Object.values(page.seconds).reduce((sum, one) => sum + one, 0)).toBe(clock.now);
      expect([...page.tokens.values()].reduce((sum, one) => sum + one, 0)).toBe(kept + drafted + since);
      expect(page.seconds.redone).toBe(redone);
    }),
  );
});

test("a checkpoint and what goes over the same line beside it take as long together as one after the other", () => {
  const seconds = fc.integer({ min: 1, max: 5000 });
  fc.assert(
    fc.property(seconds, seconds, seconds, (upload, beside, start) => {
      const clock = new Clock();
      const lines = new Lines({
        seed: 1,
        wideLinks: new Map([["a", { bytesPerSecond: 1000, delay: 0 }]]),
        variations: new Map(),
      });
      const transfers = new StateTransfers({ clock, lines, siteLinks: new Map() });
      const end = (first: number) =>
        transfers.endOf(["a"], first, ([line]) => (1000 * beside) / line!.bytesPerSecond);
      transfers.upload(new Map([["a", 1000 * upload]]));
      expect(transfers.uploadedAt).toBe(upload);
      if (start >= upload) expect(end(start)).toBe(start + beside);
      else {
        // Half the line each until the first of them has ended.
        const left = upload - start;
        const both = start + 2 * Math.min(left, beside);
        expect(end(start)).toBeCloseTo(beside <= left ? both : upload + beside, 6);
        expect(transfers.uploadedAt).toBeCloseTo(beside <= left ? upload + beside : both, 6);
      }
    }),
  );
});
