// Token embedding in float64: gather forward, scatter-add backward.

/** V rows of C elements. */
export interface EmbeddingShape {
  readonly V: number;
  readonly C: number;
}

/** x[R,C], row r = table[tokens[r]], for tokens[R] below V and table[V,C]. */
export function embedding(
  table: Float64Array,
  tokens: Uint32Array,
  { C }: Pick<EmbeddingShape, "C">,
): Float64Array {
  const x = new Float64Array(tokens.length * C);
  for (let i = 0; i < x.length; i++) x[i] = table[tokens[Math.floor(i / C)] * C + (i % C)];
  return x;
}

/** dTable[V,C], row v = sum of dx[R,C]'s rows r with tokens[r] = v. */
export function embeddingBackward(
  dx: Float64Array,
  tokens: Uint32Array,
  { V, C }: EmbeddingShape,
): Float64Array {
  const dTable = new Float64Array(V * C);
  for (let i = 0; i < dx.length; i++) dTable[tokens[Math.floor(i / C)] * C + (i % C)] += dx[i];
  return dTable;
}
