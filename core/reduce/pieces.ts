// A range of the canonical space travels in pieces, a frame each: no frame is longer than links take, the first are on
// their way while the next are encoded, and a sum is taken piece by piece. Who sends and who receives cut alike.
import type { Segment } from "../model/parameters.ts";
import { BLOCK } from "./block.ts";

/** Values of a piece, 4 MiB in f32: whole blocks, so that codes are those of the range as a whole. */
export const PIECE = 256 * BLOCK;

/** The pieces of a range, `size` values each, in order; the last may be smaller. */
export function piecesOf({ start, end }: Segment, size = PIECE): Segment[] {
  return Array.from({ length: Math.ceil((end - start) / size) }, (_, i) => ({
    start: start + i * size,
    end: Math.min(start + (i + 1) * size, end),
  }));
}

/** Where each one's part of `size` values begins and ends: whole numbers, without gaps. */
export function cutByShares(size: number, shares: readonly number[]): { first: number; end: number }[] {
  let before = 0;
  let first = 0;
  return shares.map((share, i) => {
    before += share;
    // Rounding must not leave a value over.
    const end = i === shares.length - 1 ? size : Math.max(first, Math.floor(size * before));
    const part = { first, end };
    first = end;
    return part;
  });
}
