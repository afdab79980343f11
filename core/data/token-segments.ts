// Rows of a batch sorted by token, so that the embedding's gradient can be summed without atomics.

/**
 * For tokens[R]: [R rows ordered by token (stable)] [R + 1 starts of the segments of equal tokens] [R ids, the
 * token of each segment]. There are as many segments as distinct tokens; those after the last are empty: their
 * starts are R.
 */
export function tokenSegments(tokens: Uint32Array): Uint32Array<ArrayBuffer> {
  const R = tokens.length;
  const segments = new Uint32Array(3 * R + 1);
  const order = segments.subarray(0, R);
  const starts = segments.subarray(R, 2 * R + 1).fill(R);
  const ids = segments.subarray(2 * R + 1);
  // Equal tokens keep the order of their rows: the sort is stable.
  order.set(Array.from(tokens.keys()).sort((a, b) => tokens[a]! - tokens[b]!));
  let count = 0;
  order.forEach((row, i) => {
    const token = tokens[row]!;
    if (count > 0 && ids[count - 1] === token) return;
    ids[count] = token;
    starts[count++] = i;
  });
  return segments;
}
