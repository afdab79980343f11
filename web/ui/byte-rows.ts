// Byte counts of both link kinds as rows of a table.
export type BytesByPurpose = Readonly<Record<string, number>>;

export interface ByteRow {
  readonly purpose: string;
  readonly site: number;
  readonly wide: number;
}

/** What a frame kind carries, in words; "link" is what links say to each other. */
const PURPOSES: Record<string, string> = {
  activation: "Activations",
  gradient: "Gradients of activations",
  reduce: "Parameter gradients to sum",
  result: "Summed parameter gradients",
  weight: "Weights of their terms",
  parameters: "Parameters after an exchange",
  embeddingGradient: "Gradient of the tied embedding",
  embedding: "Tied embedding",
  token: "Sampled tokens",
  state: "States of stages that moved",
  wanted: "Requests for states",
  link: "Link upkeep",
  probe: "Measuring links",
};

/** One row a purpose, largest first. */
export function byteRows(site: BytesByPurpose, wide: BytesByPurpose): ByteRow[] {
  const kinds = [...new Set([...Object.keys(site), ...Object.keys(wide)])];
  return kinds
    .map((kind) => ({ purpose: PURPOSES[kind] ?? kind, site: site[kind] ?? 0, wide: wide[kind] ?? 0 }))
    .sort((a, b) => b.site + b.wide - (a.site + a.wide));
}
