// What workers are told at the beginning of a generation: those of its plan what to hold and where that comes from, and
// those that keep a state and have no part in it whom to lend it to.
import type { ModelConfig, RunConfig } from "../core/model/config.ts";
import {
  borrowsEmbedding,
  EMBEDDING,
  ownedTensors,
  parameterSpace,
  stageRange,
  type StageRange,
} from "../core/model/parameters.ts";
import type { Moves } from "../core/plan/moves.ts";
import { positionOf, type Plan, type PlannedLink } from "../core/plan/plan.ts";
import { shardsOfSite } from "../core/plan/states.ts";
import type { StateSource, TokenSource, WorkerMessage } from "../core/protocol/control.ts";
import type { Checkpoint } from "./checkpoints.ts";

export interface Beginning {
  readonly generation: number;
  /** The run's id, and the number that its frames carry. */
  readonly run: string;
  readonly runNumber: number;
  readonly config: RunConfig;
  readonly plan: Plan;
  readonly tokens: TokenSource;
  /** The last that is committed. */
  readonly step: number;
  /** Null where states come from the checkpoint; or, without one, from the seed. */
  readonly moves: Moves | null;
  readonly checkpoint: Checkpoint | null;
}

type FirstOrder = Extract<WorkerMessage, { type: "assign" | "lend" }>;

export function firstOrder(beginning: Beginning, worker: string): FirstOrder {
  const { generation, run, runNumber, config, plan, tokens, moves } = beginning;
  const links = (moves?.links ?? []).filter((link) => concerns(link, worker));
  if (!positionOf(plan, worker)) return { type: "lend", generation, links };
  const state = sourceOf(beginning, worker);
  return { type: "assign", generation, run, runNumber, config, plan, tokens, state, links };
}

function sourceOf({ config, plan, step, moves, checkpoint }: Beginning, worker: string): StateSource {
  const { model } = config;
  if (moves) return { kind: "workers", step, takes: [...moves.takes.get(worker)!] };
  if (!checkpoint) return { kind: "seed" };
  const { optimizer, shards } = checkpoint;
  const { replica, stage } = positionOf(plan, worker)!;
  const { site, stages } = plan.replicas[replica]!;
  const { first, last } = stages[stage]!;
  const wanted = tensorsOf(model, stageRange(model, first, last));
  // A shard has a long list of tensors, and there is one a worker.
  const needed = shardsOfSite(site, shards).filter(({ tensors }) => tensors.some((name) => wanted.has(name)));
  return { kind: "checkpoint", step: checkpoint.step, optimizer, shards: needed };
}

/** Names of the parameters that a stage works with, its own or borrowed. */
function tensorsOf(model: ModelConfig, range: StageRange): Set<string> {
  const owned = ownedTensors(parameterSpace(model), range).map(({ name }) => name);
  return new Set(borrowsEmbedding(model, range) ? [...owned, EMBEDDING] : owned);
}

const concerns = ({ initiator, other }: PlannedLink, worker: string): boolean =>
  initiator === worker || other === worker;
