// Numbers as the pages show them.
import { describe, expect, test } from "vitest";
import { byteRows } from "../../web/ui/byte-rows.ts";
import { formatBytes, formatCount, formatDuration, formatFlops } from "../../core/format.ts";

describe("formatBytes", () => {
  test.each([
    [0, "0 B"],
    [999, "999 B"],
    [1000, "1.0 kB"],
    [1_234_567, "1.2 MB"],
    [999_949, "999.9 kB"],
    [999_951, "1.0 MB"],
    [4_294_967_296, "4.3 GB"],
    [7.5e15, "7500.0 TB"],
  ])("%d bytes are %s", (bytes, text) => expect(formatBytes(bytes)).toBe(text));
});

describe("formatCount", () => {
  test.each([
    [0.4, "0"],
    [1234.6, "1,235"],
    [134_515_008, "134,515,008"],
  ])("%d is %s", (count, text) => expect(formatCount(count)).toBe(text));
});

describe("formatDuration", () => {
  test.each([
    [0.2, "0 s"],
    [59.4, "59 s"],
    [59.6, "1 min 0 s"],
    [185, "3 min 5 s"],
    [3599.9, "1 h 0 min"],
    [7800, "2 h 10 min"],
  ])("%d seconds are %s", (seconds, text) => expect(formatDuration(seconds)).toBe(text));
});

describe("byteRows", () => {
  test("puts both link kinds of a purpose in one row, largest first", () => {
    expect(byteRows({ activation: 10, link: 2 }, { reduce: 30, link: 3 })).toEqual([
      { purpose: "Parameter gradients to sum", site: 0, wide: 30 },
      { purpose: "Activations", site: 10, wide: 0 },
      { purpose: "Link upkeep", site: 2, wide: 3 },
    ]);
  });

  test("shows a purpose it has no words for by its name", () => {
    expect(byteRows({ novel: 1 }, {})).toEqual([{ purpose: "novel", site: 1, wide: 0 }]);
  });
});

test.each([
  [1_234_567_890, "1.2 GFLOP/s"],
  [57_000_000, "0.057 GFLOP/s"],
  [998e9, "1000 GFLOP/s"],
  [45.4e12, "45 TFLOP/s"],
])("%d FLOP/s are %s", (perSecond, text) => expect(formatFlops(perSecond)).toBe(text));
