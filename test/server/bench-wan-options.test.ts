// The words after `npm run bench -- wan`.
import { expect, test } from "vitest";
import { UserError } from "../../server/errors.ts";
import { parseWanOptions } from "../bench/wan/options.ts";

test("a home line by default; each option is read", () => {
  const network = { delayMs: 25, mbit: 20, loss: 0.1 };
  expect(parseWanOptions([])).toEqual({ network, steps: 120, out: null });
  expect(parseWanOptions("--wan 5:100:0 --steps 60 --out a.json".split(" "))).toEqual({
    network: { delayMs: 5, mbit: 100, loss: 0 },
    steps: 60,
    out: "a.json",
  });
});

test.each([
  ["--wan 25", /^--wan is '25': give delay in ms/],
  ["--steps 3", /^--steps/],
  ["--fast", /^Unknown option '--fast': npm run bench -- wan/],
])("'%s' is refused", (words, pattern) => {
  expect(() => parseWanOptions(words.split(" "))).toThrow(UserError);
  expect(() => parseWanOptions(words.split(" "))).toThrow(pattern);
});
