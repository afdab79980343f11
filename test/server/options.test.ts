// --sites as people type it.
import { expect, test } from "vitest";
import { parseSites } from "../../server/options.ts";

test("sites: a count each, a browser and a pace where they matter, a name as often as it is needed", () => {
  expect(parseSites("a:2,b,b:1:firefox:0.5")).toEqual([
    { site: "a", count: 2, browser: "chromium", pace: null },
    { site: "b", count: 1, browser: "chromium", pace: null },
    { site: "b", count: 1, browser: "firefox", pace: 0.5 },
  ]);
});

test.each([
  [undefined, /give the sites with --sites/],
  ["a:0", /the count of 'a' is '0': give a whole number from 1 to 64/],
  ["a:1:opera", /the browser of 'a' is 'opera': give chromium or firefox/],
  ["a:1:chromium:0", /the pace of 'a' is '0': give a number of GFLOP\/s above 0/],
  ["not a site:1", /'not a site' is no name for a site/],
])("%s is refused", (list, pattern) => {
  expect(() => parseSites(list)).toThrow(pattern);
});
