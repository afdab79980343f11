// The text that the convergence experiments validate on.
import { expect, test } from "vitest";
import { holdOut } from "../bench/convergence/held-out.ts";

test("pieces from all over the text validate, and the rest trains", () => {
  // Each character says where it was.
  const text = String.fromCharCode(...Array.from({ length: 64 * 500 + 7 }, (_, i) => i));
  const { train, valid } = holdOut(text, 0.01);
  expect([train.length, valid.length]).toEqual([64 * 495, 64 * 5]);
  const places = [...valid].map((character) => character.charCodeAt(0));
  expect(places).toEqual(
    Array.from({ length: 64 }, (_, piece) => [5, 4, 3, 2, 1].map((back) => 500 * (piece + 1) - back)).flat(),
  );
  const all = [...train, ...valid].map((character) => character.charCodeAt(0)).sort((a, b) => a - b);
  expect(all).toEqual(Array.from({ length: 64 * 500 }, (_, i) => i));
});
