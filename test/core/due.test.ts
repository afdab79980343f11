// What is due between two steps.
import fc from "fast-check";
import { expect, test } from "vitest";
import { dueAfter, nextDue } from "../../core/plan/due.ts";

const intervals = fc.record({
  validEvery: fc.integer({ min: 1, max: 12 }),
  sampleEvery: fc.integer({ min: 1, max: 12 }),
  checkpointEvery: fc.integer({ min: 1, max: 12 }),
  steps: fc.integer({ min: 1, max: 40 }),
});

test("nothing is due on the way to the next step after which something is", () => {
  fc.assert(
    fc.property(intervals, fc.nat(39), (config, from) => {
      fc.pre(from < config.steps);
      const next = nextDue(config, from);
      for (let step = from + 1; step < next; step++) expect(dueAfter(config, step)).toEqual([]);
      expect(dueAfter(config, next)).not.toEqual([]);
    }),
  );
});

test("each after its own interval, in this order; all after the last step", () => {
  const config = { validEvery: 2, sampleEvery: 3, checkpointEvery: 6, steps: 7 };
  expect(dueAfter(config, 2)).toEqual(["validate"]);
  expect(dueAfter(config, 3)).toEqual(["sample"]);
  expect(dueAfter(config, 6)).toEqual(["validate", "sample", "save"]);
  expect(dueAfter(config, 7)).toEqual(["validate", "sample", "save"]);
});
