import { expect, test } from "vitest";
import { AnchorCheck } from "../../server/strategy/anchors.ts";

test("says nothing while sites agree, however they cut the model and in whatever order they speak", () => {
  const check = new AnchorCheck(2);
  expect(check.report(1, 5, "b-1", { embed: 1, "block 0": 2 })).toEqual([]);
  expect(check.report(0, 5, "a-1", { embed: 1 })).toEqual([]);
  expect(check.report(0, 5, "a-2", { "block 0": 2 })).toEqual([]);
});

test("the one that differs is to be given what most hold", () => {
  const check = new AnchorCheck(3);
  check.report(0, 5, "a-1", { embed: 9 });
  check.report(1, 5, "b-1", { embed: 7 });
  expect(check.report(2, 5, "c-1", { embed: 7 })).toEqual([{ part: "embed", from: "b-1", to: "a-1" }]);
});

test("of two that differ the first is right", () => {
  const check = new AnchorCheck(2);
  check.report(1, 5, "b-1", { embed: 7 });
  expect(check.report(0, 5, "a-1", { embed: 9 })).toEqual([{ part: "embed", from: "a-1", to: "b-1" }]);
});

test("exchanges of different steps are not mixed", () => {
  const check = new AnchorCheck(2);
  check.report(0, 5, "a-1", { embed: 1 });
  check.report(0, 10, "a-1", { embed: 2 });
  expect(check.report(1, 5, "b-1", { embed: 1 })).toEqual([]);
  expect(check.report(1, 10, "b-1", { embed: 2 })).toEqual([]);
});
