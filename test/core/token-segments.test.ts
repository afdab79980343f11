// The order in which an embedding's gradient is summed covers every row once, by token.
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { tokenSegments } from "../../core/data/token-segments.ts";

test("an example", () => {
  expect([...tokenSegments(Uint32Array.of(7, 2, 7, 0))]).toEqual(
    [
      [3, 1, 0, 2],
      [0, 1, 2, 4, 4],
      [0, 2, 7, 0],
    ].flat(),
  );
});

test("each distinct token has one segment with all its rows in order; the rest are empty", () => {
  const tokens = fc.array(fc.oneof(fc.nat(5), fc.integer({ min: 0, max: 0xffffffff })), { maxLength: 40 });
  fc.assert(
    fc.property(tokens, (list) => {
      const R = list.length;
      const segments = tokenSegments(Uint32Array.from(list));
      expect(segments).toHaveLength(3 * R + 1);
      const order = segments.subarray(0, R);
      const starts = segments.subarray(R, 2 * R + 1);
      const ids = segments.subarray(2 * R + 1);
      const distinct = [...new Set(list)].sort((a, b) => a - b);
      distinct.forEach((token, s) => {
        expect(ids[s]).toBe(token);
        const rows = [...list.keys()].filter((row) => list[row] === token);
        expect([...order.subarray(starts[s], starts[s + 1])]).toEqual(rows);
      });
      expect(starts.subarray(distinct.length).every((start) => start === R)).toBe(true);
    }),
  );
});
