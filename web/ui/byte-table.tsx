// Bytes by link kind and purpose.
import { formatBytes } from "./format.ts";

export interface ByteTableProps {
  readonly site: Readonly<Record<string, number>>;
  readonly wide: Readonly<Record<string, number>>;
}

/** What a frame kind carries, in words; kinds that are not named here speak for themselves. */
const PURPOSES: Record<string, string> = {
  activation: "activations",
  gradient: "gradients of activations",
  reduce: "parameter gradients",
  result: "summed gradients",
  embeddingGradient: "gradient of the tied embedding",
  embedding: "tied embedding",
  token: "sampled tokens",
  link: "keeping links alive",
};

export function ByteTable({ site, wide }: ByteTableProps) {
  const rows = [...rowsOf("site", site), ...rowsOf("wide", wide)];
  if (rows.length === 0) return <p class="soft">Nothing was sent yet.</p>;
  return (
    <table>
      <thead>
        <tr>
          <th>Link</th>
          <th>Purpose</th>
          <th class="number">Sent</th>
        </tr>
      </thead>
      <tbody>
        {rows.map(({ link, purpose, bytes }) => (
          <tr key={link + purpose}>
            <td>{link}</td>
            <td>{PURPOSES[purpose] ?? purpose}</td>
            <td class="number">{formatBytes(bytes)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

/** Largest first. */
function rowsOf(link: string, by: Readonly<Record<string, number>>) {
  const rows = Object.entries(by).map(([purpose, bytes]) => ({ link, purpose, bytes }));
  return rows.sort((a, b) => b.bytes - a.bytes);
}
