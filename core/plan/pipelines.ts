// The pipelines that a group of workers can form: in which order, and where they cut the model.
// Not here: who is in a group (grouping.ts), the cuts of a given order (allocate.ts).
import { allocate, allocationFront, type Allocation, type StageRoom } from "./allocate.ts";
import {
  blockSeconds,
  fixedSeconds,
  pipelineCost,
  pipelineSeconds,
  type Load,
  type PipelineCost,
} from "./cost.ts";
import type { LinkSpeed, WorkerSpeed } from "./speed.ts";
import type { StageMemory } from "./stage-memory.ts";

/** A worker whose speed is known or assumed. Those of a `kind` have the same. */
export interface Candidate {
  readonly id: string;
  readonly speed: WorkerSpeed;
  readonly kind: string;
}

/** Where the workers of a group are, and what for. */
export interface Surroundings {
  readonly load: Load;
  readonly memory: StageMemory;
  readonly link: LinkSpeed;
}

export interface Pipeline extends PipelineCost {
  readonly workers: readonly Candidate[];
  /** Of each worker. */
  readonly blocks: readonly number[];
}

/** Groups of up to so many workers are tried in every order where memory is short. */
const ALL_ORDERS = 5;
/** Of so many kinds of workers each is tried as the last stage, which has the head; of more only two. */
const MOST_LASTS = 4;

/**
 * All pipelines of which none has both a shorter or equal fill and a shorter or equal period than another. Exact for
 * groups of up to ALL_ORDERS workers, and for larger ones that have memory enough for any order.
 */
export function pipelineFront(surroundings: Surroundings, group: readonly Candidate[]): Pipeline[] {
  const all = orders(surroundings, group).flatMap((workers) =>
    allocationFront(roomsOf(surroundings, workers), surroundings.load.blocks).map((allocation) =>
      pipeline(surroundings, workers, allocation),
    ),
  );
  all.sort((a, b) => a.period - b.period || a.fill - b.fill);
  return all.filter((one, i) => all.slice(0, i).every(({ fill }) => fill > one.fill));
}

/** A good pipeline for so many microbatches, found quickly. Null when the group cannot hold the model. */
export function goodPipeline(
  surroundings: Surroundings,
  group: readonly Candidate[],
  microbatches: number,
): Pipeline | null {
  let best: Pipeline | null = null;
  for (const workers of likelyOrders(group)) {
    const allocation = allocate(roomsOf(surroundings, workers), surroundings.load.blocks);
    if (!allocation) continue;
    const found = pipeline(surroundings, workers, allocation);
    if (!best || pipelineSeconds(found, microbatches) < pipelineSeconds(best, microbatches)) best = found;
  }
  return best;
}

function pipeline(
  { load, link }: Surroundings,
  workers: readonly Candidate[],
  allocation: Allocation,
): Pipeline {
  return { ...pipelineCost(load, link, workers.length, allocation), workers, blocks: allocation.blocks };
}

function roomsOf({ load, memory }: Surroundings, workers: readonly Candidate[]): StageRoom[] {
  const stages = workers.length;
  return workers.map(({ speed }, stage) => ({
    fixed: fixedSeconds(load, speed, stage === stages - 1),
    each: blockSeconds(load, speed),
    most: memory.mostBlocks(stage, stages, speed.memory),
  }));
}

/** What an order decides: who has the head, and, where memory is short, who has how many slots and the embedding. */
function orders(surroundings: Surroundings, group: readonly Candidate[]): Candidate[][] {
  if (group.length > ALL_ORDERS || hasMemoryForAnyOrder(surroundings, group)) {
    return kindsOf(group).map((last) => withLast(group, last));
  }
  return permutations(group);
}

/** A stage takes the most memory as the first, and as the last. */
function hasMemoryForAnyOrder({ memory, load }: Surroundings, group: readonly Candidate[]): boolean {
  const stages = group.length;
  return group.every(({ speed }) =>
    [0, stages - 1].every(
      (stage) => memory.mostBlocks(stage, stages, speed.memory) === load.blocks - (stages - 1),
    ),
  );
}

/** One worker of each kind. */
function kindsOf(group: readonly Candidate[]): Candidate[] {
  const first = new Map<string, Candidate>();
  for (const one of group) if (!first.has(one.kind)) first.set(one.kind, one);
  return [...first.values()];
}

/** Of workers that are alike, the first in the group goes first. */
function permutations(group: readonly Candidate[]): Candidate[][] {
  if (group.length === 0) return [[]];
  return kindsOf(group).flatMap((first) =>
    permutations(group.filter((one) => one !== first)).map((rest) => [first, ...rest]),
  );
}

/** The more memory, the further in front: stages there have more microbatches under way. */
function withLast(group: readonly Candidate[], last: Candidate): Candidate[] {
  const rest = group.filter((one) => one !== last).sort((a, b) => b.speed.memory - a.speed.memory);
  return [...rest, last];
}

/** With the head on the worker that is best at it, or on the slowest, which has few blocks. */
function likelyOrders(group: readonly Candidate[]): Candidate[][] {
  const kinds = kindsOf(group);
  if (kinds.length <= MOST_LASTS) return kinds.map((last) => withLast(group, last));
  const best = kinds.reduce((a, b) => (b.speed.head > a.speed.head ? b : a));
  const slowest = kinds.reduce((a, b) => (b.speed.block < a.speed.block ? b : a));
  return [...new Set([best, slowest])].map((last) => withLast(group, last));
}
