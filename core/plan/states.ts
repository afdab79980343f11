// What a checkpoint is made of, and what of it a stage goes on from: bytes on the way to the server and back, worked out
// from the plan alone.
// Not here: the shards themselves (web/worker/stage-state.ts).
import type { RunConfig, StrategyConfig } from "../model/config.ts";
import { borrowsEmbedding, stageRange, type Segment } from "../model/parameters.ts";
import { needsFeedback } from "../reduce/codec.ts";
import { holdingsOf, overlaps } from "../reduce/holdings.ts";
import { leadReplicas, type Plan, type Replica } from "./plan.ts";

/** What one stage saves. */
export interface ShardSize {
  readonly site: string;
  readonly segment: Segment;
  readonly bytes: number;
}

/**
 * Whether sites hold different states, be it only what encoding has left unsaid: their lead replicas are all saved, and
 * each goes on from its own. Otherwise all replicas hold the same.
 */
const sitesDiffer = (strategy: StrategyConfig): boolean =>
  strategy.kind === "rounds" || needsFeedback(strategy.gradients);

const savedReplicas = (strategy: StrategyConfig, plan: Plan): Replica[] =>
  sitesDiffer(strategy) ? leadReplicas(plan) : plan.replicas.slice(0, 1);

/** Workers that a checkpoint needs the state of. */
export const saversOf = ({ strategy }: RunConfig, plan: Plan): string[] =>
  savedReplicas(strategy, plan).flatMap(({ stages }) => stages.map(({ worker }) => worker));

/** f32 values kept for each parameter: itself and two moments; for a site of its own, what stands beside them. */
function arraysOf(strategy: StrategyConfig): number {
  if (strategy.kind === "rounds") return 7;
  return needsFeedback(strategy.gradients) ? 5 : 3;
}

export function shardSizes({ model, strategy }: RunConfig, plan: Plan): ShardSize[] {
  const bytes = 4 * arraysOf(strategy);
  return savedReplicas(strategy, plan).flatMap((replica) =>
    holdingsOf(model, replica).map(({ segment }) => ({
      site: replica.site,
      segment,
      bytes: bytes * (segment.end - segment.start),
    })),
  );
}

/** The shards that each of a replica's stages needs, whole. */
export function shardsNeeded(
  { model, strategy }: RunConfig,
  replica: Replica,
  shards: readonly ShardSize[],
): { worker: string; shards: ShardSize[] }[] {
  const isOwn = shards.some(({ site }) => site === replica.site);
  const from = sitesDiffer(strategy) && isOwn ? replica.site : shards[0]!.site;
  const ofSite = shards.filter(({ site }) => site === from);
  return holdingsOf(model, replica).map(({ worker, segment }, i) => {
    const { first, last } = replica.stages[i]!;
    const borrows = borrowsEmbedding(model, stageRange(model, first, last));
    return {
      worker,
      shards: ofSite.filter(
        (shard) =>
          overlaps([{ worker, segment: shard.segment }], segment).length > 0 ||
          (borrows && shard.segment.start === 0),
      ),
    };
  });
}
