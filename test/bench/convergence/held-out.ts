// Which of the text validates: pieces from all over it. The end of this corpus is its newest speeches, in words and
// characters that the rest hardly has; what a strategy costs would drown in how well each run happens to guess those.

const PIECES = 64;

/** Of each of 64 equal pieces of the text the last `share` validates, and the rest trains. */
export function holdOut(tokens: Uint8Array, share: number): { train: Uint8Array; valid: Uint8Array } {
  const piece = Math.floor(tokens.length / PIECES);
  const held = Math.floor(piece * share);
  const pieces = Array.from({ length: PIECES }, (_, i) => tokens.subarray(i * piece, (i + 1) * piece));
  return {
    train: join(pieces.map((part) => part.subarray(0, piece - held))),
    valid: join(pieces.map((part) => part.subarray(piece - held))),
  };
}

function join(parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
