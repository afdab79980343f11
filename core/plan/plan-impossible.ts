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
    ? `the workers that could hold most of it (${best.workers} in one site, the largest with ${formatBytes(best.largest)}) have memory for ${Math.min(best.blocks, config.model.layers - 1)} of its ${config.model.layers} blocks`
    : "there are no workers";
  return `the model does not fit: ${held}; ${fixes.join(", or ")}`;
}

/** What a site's workers hold at most, those with the most memory in front; all blocks where they hold the model. */
export function blocksHeld({
  workers,
  memory,
  load,
  depth,
}: Pick<SiteTask, "workers" | "memory" | "load" | "depth">) {
  const largestFirst = [...workers].sort((a, b) => b.speed.memory - a.speed.memory);
  const deepest = Math.min(workers.length, depth ?? load.blocks);
  let blocks = 0;
  for (let stages = depth === null ? 1 : deepest; stages <= deepest; stages++) {
    const each = largestFirst
      .slice(0, stages)
      .map(({ speed }, stage) => memory.mostBlocks(stage, stages, speed.memory));
    const held = each.reduce((sum, most) => sum + most, 0);
    // A stage without memory for one block makes the pipeline impossible, whatever the others hold.
    blocks = Math.max(blocks, Math.min(held, each.includes(0) ? load.blocks - 1 : load.blocks));
  }
  return { blocks, workers: workers.length, largest: Math.max(...workers.map(({ speed }) => speed.memory)) };
}
