// The words after `npm run bench -- link`.
import { expect, test } from "vitest";
import { UserError } from "../../server/errors.ts";
import { parseLinkOptions } from "../bench/link/options.ts";

test("loopback and all ways by default; each option is read", () => {
  expect(parseLinkOptions([])).toEqual({
    network: null,
    rounds: 5,
    ways: ["link", "channel", "websocket"],
    out: null,
  });
  const words = "--wan 25:20:0.1 --repeats 3 --only websocket,link --out a.json";
  expect(parseLinkOptions(words.split(" "))).toEqual({
    network: { delayMs: 25, mbit: 20, loss: 0.1 },
    rounds: 3,
    ways: ["websocket", "link"],
    out: "a.json",
  });
});

test.each([
  ["--wan 25:20", /^--wan is '25:20': give delay in ms/],
  ["--wan 25:20:x", /^--wan is '25:20:x'/],
  ["--wan 25:20:0:9", /^--wan is/],
  ["--only link,post", /^--only is 'post': use link or channel or websocket$/],
  ["--fast", /^Unknown option '--fast': npm run bench -- link/],
])("'%s' is refused", (words, pattern) => {
  expect(() => parseLinkOptions(words.split(" "))).toThrow(UserError);
  expect(() => parseLinkOptions(words.split(" "))).toThrow(pattern);
});
