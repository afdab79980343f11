// A plan in words, for events and the workers' list.
import type { RunConfig } from "../model/config.ts";
import { stageRange, type StageRange } from "../model/parameters.ts";
import { positionOf, type Plan } from "./plan.ts";

/** "embedding + blocks 0-1", "blocks 2-3 + head" */
export function describeStage({ first, last, embed, head }: StageRange): string {
  const blocks = last - first === 1 ? `block ${first}` : `blocks ${first}-${last - 1}`;
  return [embed ? "embedding" : null, blocks, head ? "head" : null]
    .filter((part) => part !== null)
    .join(" + ");
}

/** One line a replica, and one for the spare workers. */
export function describePlan(config: RunConfig, plan: Plan): string[] {
  const lines = plan.replicas.map(({ site, stages, microbatches, zeroBubble }) => {
    const parts = stages.map(
      ({ worker, first, last }) => `${worker} (${describeStage(stageRange(config.model, first, last))})`,
    );
    const share = `${microbatches.length} of ${config.batch / config.microbatch} microbatches`;
    const order = zeroBubble ? ", zero-bubble (ZB-H1)" : "";
    return `site ${site}: ${parts.join(" -> ")}, ${share}${order}`;
  });
  if (plan.spare.length > 0) lines.push(`spare: ${plan.spare.join(", ")}`);
  return lines;
}

/** What `worker` holds in the plan; empty when nothing. */
export function describeHolding(config: RunConfig, plan: Plan, worker: string): string {
  const position = positionOf(plan, worker);
  if (!position) return "";
  const { first, last } = plan.replicas[position.replica]!.stages[position.stage]!;
  return describeStage(stageRange(config.model, first, last));
}
