// Says why no site can hold the model, and what would help.
import type { RunConfig } from "../model/config.ts";
import { formatBytes } from "../format.ts";
import type { SiteTask } from "./grouping.ts";

/** No plan can be made; the message names the fix. */
export class PlanImpossible extends Error {
  override name = "PlanImpossible";
}

/** @param sites of which none can hold the model */
export function explainMisfit(config: RunConfig, sites: readonly SiteTask[]): string {
  const best = sites.map(blocksHeld).sort((a, b) => b.blocks - a.blocks)[0];
  const fixes = [
    config.recompute ? null : 'set "recompute": true',
    config.microbatch > 1 ? `lower microbatch (now ${config.microbatch})` : null,
    config.stages === "auto" ? null : 'set stages to "auto"',
    "add workers, or workers with more memory, to one site",
  ].filter((fix) => fix !== null);
  const held = best
    ? `the workers that could hold most of it (${best.workers} in one site, the largest with ${formatBytes(best.largest)}) have memory for ${best.blocks} of its ${config.model.layers} blocks`
    : "there are no workers";
  return `the model does not fit: ${held}; ${fixes.join(", or ")}`;
}

/** What a site's workers hold at most, those with the most memory in front. */
function blocksHeld({ workers, memory, load, depth }: SiteTask) {
  const most = Math.min(workers.length, depth ?? load.blocks);
  const largestFirst = [...workers].sort((a, b) => b.speed.memory - a.speed.memory);
  const held = Array.from({ length: most }, (_, i) => {
    const group = largestFirst.slice(0, i + 1);
    return group.reduce(
      (sum, { speed }, stage) => sum + memory.mostBlocks(stage, group.length, speed.memory),
      0,
    );
  });
  return {
    // All but one block, where a stage has no memory for even one.
    blocks: Math.min(load.blocks - 1, Math.max(0, ...held)),
    workers: workers.length,
    largest: Math.max(...workers.map(({ speed }) => speed.memory)),
  };
}
