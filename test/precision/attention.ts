// Attention over queries, keys and values in f16, forward and backward, against float64.
import type { Gpu } from "../../web/engine/device.ts";
import { openAttentionContest } from "../../web/engine/autotune/attention-contest.ts";
import type { AttentionVariant } from "../../web/engine/attention.ts";
import { tuningFor } from "../../web/engine/tuning.ts";

/** Head widths. */
const WIDTHS = [12, 64];

/** Names of what computes something else: the table's variant, and one that stages rows in workgroup memory. */
export async function wrongAttention(gpu: Gpu): Promise<string[]> {
  const wrong: string[] = [];
  for (const D of WIDTHS) {
    const staged: AttentionVariant = { rows: 1, rowGroups: 16, share: "workgroup" };
    const variants = Object.entries({ table: tuningFor(gpu).attention(D), staged });
    const candidates = variants.map(([name, variant]) => ({ name: `${name}, ${D} wide`, variant }));
    const contest = await openAttentionContest(gpu, { R: 8, T: 8, H: 2, G: 1, D }, "f16", candidates);
    for (const { name, check } of contest.contenders) {
      if (!(await check())) wrong.push(name);
    }
    contest.close();
  }
  return wrong;
}
