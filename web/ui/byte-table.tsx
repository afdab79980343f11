// Bytes put on data channels, by purpose, inside sites and between them.
import { byteRows, type ByteRow, type BytesByPurpose } from "./byte-rows.ts";
import { formatBytes } from "../../core/format.ts";

export function ByteTable({ site, wide }: { readonly site: BytesByPurpose; readonly wide: BytesByPurpose }) {
  const rows = byteRows(site, wide);
  if (rows.length === 0) return <p class="soft">Nothing yet.</p>;
  return (
    <table>
      <thead>
        <tr>
          <th scope="col">Purpose</th>
          <th scope="col" class="number">
            Site links
          </th>
          <th scope="col" class="number">
            Wide links
          </th>
        </tr>
      </thead>
      <tbody>
        {rows.map((row) => (
          <Row key={row.purpose} {...row} />
        ))}
      </tbody>
      <tfoot>
        <Row
          purpose="All"
          site={rows.reduce((sum, row) => sum + row.site, 0)}
          wide={rows.reduce((sum, row) => sum + row.wide, 0)}
        />
      </tfoot>
    </table>
  );
}

function Row({ purpose, site, wide }: ByteRow) {
  return (
    <tr>
      <th scope="row">{purpose}</th>
      <td class="number">{site ? formatBytes(site) : "–"}</td>
      <td class="number">{wide ? formatBytes(wide) : "–"}</td>
    </tr>
  );
}
