// Which of the text validates: pieces from all over it. The end of this corpus is its newest speeches, in words and
// characters that the rest hardly has; what a strategy costs would drown in how well each run happens to guess those.

const PIECES = 64;

/** Of each of 64 equal pieces of the text the last `share` validates, and the rest trains. */
export function holdOut(text: string, share: number): { train: string; valid: string } {
  const size = Math.floor(text.length / PIECES);
  const held = Math.floor(size * share);
  const pieces = Array.from({ length: PIECES }, (_, i) => text.slice(i * size, (i + 1) * size));
  return {
    train: pieces.map((piece) => piece.slice(0, size - held)).join(""),
    valid: pieces.map((piece) => piece.slice(size - held)).join(""),
  };
}
