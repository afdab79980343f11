import { expect, test } from "vitest";
import { LINKS_SHOWN } from "../../core/protocol/events.ts";
import { LinkTable } from "../../server/link-table.ts";

test("generations count on from run to run, so that the newest figures are known as such", () => {
  const table = new LinkTable();
  const generations = () => table.all().map(({ to, generation }) => [to, generation]);
  const to = (peer: string) => [{ peer, bytesPerSecond: 1, delay: 0, filled: true }];
  table.take("a-1", 3, to("b-1"));
  table.beginRun();
  table.take("a-1", 1, to("c-1"));
  expect(generations()).toEqual([
    ["b-1", 3],
    ["c-1", 4],
  ]);
  table.take("a-1", 2, to("b-1"));
  expect(generations()).toEqual([
    ["b-1", 5],
    ["c-1", 4],
  ]);
});

test("people are shown some of a worker's many links, planners all", () => {
  const table = new LinkTable();
  const peers = Array.from({ length: 300 }, (_, i) => `a-${i + 2}`);
  table.take(
    "a-1",
    1,
    peers.map((peer) => ({ peer, bytesPerSecond: 1, delay: 0, filled: true })),
  );
  expect(table.all()).toHaveLength(300);
  expect(table.of("a-1")).toHaveLength(LINKS_SHOWN);
});
