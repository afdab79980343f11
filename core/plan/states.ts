// What a checkpoint is made of, and what of it a stage goes on from: bytes on the way to the server and back, worked out
// from the plan alone.
// Not here: the shards themselves (web/worker/stage-state.ts).
import type { RunConfig, StrategyConfig } from "../model/config.ts";
import { borrowsEmbedding, stageRange, type Segment } from "../model/parameters.ts";
import { holdingsOf, overlaps } from "../reduce/holdings.ts";
import { ARRAYS_OF, replicasAreAlike } from "./moves.ts";
import { leadReplicas, type Plan, type Replica } from "./plan.ts";

/** What one stage saves. */
export interface ShardSize {
  readonly site: string;
  readonly segment: Segment;
  readonly bytes: number;
}

/** One, where all replicas hold the same; otherwise each site's lead replica, as each site goes on from its own. */
const savedReplicas = (strategy: StrategyConfig, plan: Plan): Replica[] =>
  replicasAreAlike({ strategy }) ? plan.replicas.slice(0, 1) : leadReplicas(plan);

/** Workers that a checkpoint needs the state of. */
export const saversOf = ({ strategy }: RunConfig, plan: Plan): string[] =>
  savedReplicas(strategy, plan).flatMap(({ stages }) => stages.map(({ worker }) => worker));

/** f32 values kept for each parameter: itself and two moments; for a site of its own, what stands beside them. */
function arraysOf(strategy: StrategyConfig): number {
  const { trained, agreed, unsaid } = ARRAYS_OF;
  const ofSite = replicasAreAlike({ strategy }) ? 0 : unsaid.length;
  return trained.length + ofSite + (strategy.kind === "rounds" ? agreed.length : 0);
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

/** What a site goes on from: where sites have states of their own, its own, or else the first's. */
export function shardsOfSite<T extends { readonly site?: string | undefined }>(
  site: string,
  shards: readonly T[],
): T[] {
  const from = shards.some((shard) => shard.site === site) ? site : shards[0]?.site;
  return shards.filter((shard) => shard.site === from);
}

/** The shards that each of a replica's stages needs, whole. */
export function shardsNeeded(
  { model }: RunConfig,
  replica: Replica,
  shards: readonly ShardSize[],
): { worker: string; shards: ShardSize[] }[] {
  const ofSite = shardsOfSite(replica.site, shards);
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
