// How a site's workers can be grouped into pipelines: few deep ones or many shallow ones, and who is left out.
// A site of few workers has all groupings tried; a larger one those that are likely, improved afterwards.
// Not here: which of them a plan takes (planner.ts), what becomes of a group (pipelines.ts).
import { siteSumSeconds, type SumHops } from "./cost.ts";
import {
  goodPipeline,
  pipelineFront,
  type Candidate,
  type Pipeline,
  type Surroundings,
} from "./pipelines.ts";

/** One way to group a site's workers. */
export interface Grouping {
  /** For each group the pipelines it can form, of which a plan takes the one that suits its share. */
  readonly groups: readonly (readonly Pipeline[])[];
  /** Seconds that the site takes to sum its gradients after the pipelines are done. */
  readonly after: number;
}

export interface SiteTask extends Surroundings {
  readonly workers: readonly Candidate[];
  /** Of the sum over its replicas. */
  readonly hops: SumHops;
  /** Stages that every pipeline has, or null where that is free. */
  readonly depth: number | null;
  /** What of a step's microbatches a group may expect: its speed's share of all sites'. */
  readonly share: (group: readonly Candidate[]) => number;
}

/** Sites of up to so many workers have every grouping tried: 877 of them for 6. */
const ALL_GROUPINGS = 6;

export const isSmall = ({ workers }: SiteTask): boolean => workers.length <= ALL_GROUPINGS;

/** Groupings to choose from; none when no group of the site's workers can hold the model. */
export function groupingsOf(task: SiteTask): Grouping[] {
  return isSmall(task) ? everyGrouping(task) : likelyGroupings(task);
}

/** Most microbatches that a grouping does in `seconds`: `microbatchesIn`, written out, as it is asked so very often. */
export function capacity({ groups, after }: Grouping, seconds: number): number {
  const left = seconds - after;
  let sum = 0;
  for (const front of groups) {
    let most = 0;
    for (const { fill, period } of front) {
      if (left >= fill) most = Math.max(most, Math.floor((left - fill) / period) + 1);
    }
    sum += most;
  }
  return sum;
}

export function groupingOf(
  { load, link, hops }: SiteTask,
  groups: readonly (readonly Pipeline[])[],
): Grouping {
  const fewestStages = Math.min(...groups.map(([pipeline]) => pipeline!.workers.length));
  return { groups, after: siteSumSeconds(load, link, hops, groups.length, fewestStages) };
}

function everyGrouping(task: SiteTask): Grouping[] {
  const { workers, load, depth } = task;
  const allowed = (count: number) => (depth === null ? count <= load.blocks : count === depth);
  const fronts = new Map<number, Pipeline[]>();
  const frontOf = (mask: number): Pipeline[] => {
    const known = fronts.get(mask);
    if (known) return known;
    const group = workers.filter((_, i) => mask & (1 << i));
    const front = allowed(group.length) ? pipelineFront(task, group) : [];
    fronts.set(mask, front);
    return front;
  };
  const groupings: Grouping[] = [];
  const place = (worker: number, masks: readonly number[]): void => {
    if (worker < workers.length) {
      place(worker + 1, masks);
      for (const [i, mask] of masks.entries()) place(worker + 1, masks.with(i, mask | (1 << worker)));
      place(worker + 1, [...masks, 1 << worker]);
    } else if (masks.length > 0) {
      const groups = masks.map(frontOf);
      if (groups.every((front) => front.length > 0)) groupings.push(groupingOf(task, groups));
    }
  };
  place(0, []);
  return groupings;
}

function likelyGroupings(task: SiteTask): Grouping[] {
  const { workers, load, depth, memory } = task;
  const deepest = depth ?? load.blocks;
  const fastestFirst = [...workers].sort((a, b) => b.speed.block - a.speed.block);
  const groupings: Grouping[] = [];
  const add = (groups: readonly (readonly Candidate[])[]) => {
    const pipelines = groups
      .map((group) => prunedPipeline(task, group))
      .filter((pipeline) => pipeline !== null)
      .map((pipeline) => [pipeline]);
    if (pipelines.length > 0) groupings.push(groupingOf(task, pipelines));
  };
  const mostReplicas = Math.min(load.microbatches, Math.floor(workers.length / (depth ?? 1)));
  const addAll = (list: readonly Candidate[], replicas: number) => {
    const used = list.slice(0, replicas * deepest);
    const even = depth === null ? used : used.slice(0, replicas * depth);
    add(chunks(even, replicas));
    add(dealt(even, replicas));
    if (depth === null) add(chunksOfSpeed(used, replicas, deepest));
  };
  for (const replicas of counts(mostReplicas)) {
    addAll(fastestFirst, replicas);
    const stages = Math.min(deepest, Math.ceil(workers.length / replicas));
    const needed = memory.bytes(Math.min(1, stages - 1), stages, Math.ceil(load.blocks / stages));
    const roomy = fastestFirst.filter(({ speed }) => speed.memory >= needed);
    const held = Math.min(replicas, Math.floor(roomy.length / stages));
    if (roomy.length < workers.length && held > 0) addAll(roomy, held);
  }
  return groupings;
}

/** 1 to 8, then about two fifths more each time, up to `most`. */
function counts(most: number): number[] {
  const list: number[] = [];
  for (let count = 1; count < most; count = Math.max(count + 1, Math.floor(count * (count < 8 ? 1 : 1.4))))
    list.push(count);
  return [...list, most];
}

/** Without those of the slowest that only make it slower. */
function prunedPipeline(task: SiteTask, group: readonly Candidate[]): Pipeline | null {
  const seconds = (pipeline: Pipeline, share: number) =>
    pipeline.fill + Math.max(0, share - 1) * pipeline.period;
  let [current, pipeline] = [group, goodPipeline(task, group, task.share(group))];
  while (pipeline && task.depth === null && current.length > 1) {
    const slowest = current.reduce((a, b) => (b.speed.block < a.speed.block ? b : a));
    const without = current.filter((one) => one !== slowest);
    const share = task.share(current);
    const next = goodPipeline(task, without, share);
    if (!next || seconds(next, share) >= seconds(pipeline, share)) break;
    [current, pipeline] = [without, next];
  }
  return pipeline;
}

/** Neighbours together, as many in each, or one more. */
function chunks<T>(list: readonly T[], parts: number): T[][] {
  const at = (part: number) => Math.floor((list.length * part) / parts);
  return Array.from({ length: parts }, (_, part) => list.slice(at(part), at(part + 1))).filter(
    (chunk) => chunk.length > 0,
  );
}

/** Like cards, there and back: each part has fast and slow ones. */
function dealt<T>(list: readonly T[], parts: number): T[][] {
  const hands: T[][] = Array.from({ length: Math.min(parts, list.length) }, () => []);
  for (const [i, one] of list.entries()) {
    const [turn, place] = [Math.floor(i / hands.length), i % hands.length];
    hands[turn % 2 === 0 ? place : hands.length - 1 - place]!.push(one);
  }
  return hands;
}

/** Neighbours together, with about the same speed in sum: few fast ones, or many slow ones. */
function chunksOfSpeed(list: readonly Candidate[], parts: number, most: number): Candidate[][] {
  const total = list.reduce((sum, { speed }) => sum + speed.block, 0);
  const result: Candidate[][] = [[]];
  let [before, own] = [0, 0];
  for (const one of list) {
    const chunk = result.at(-1)!;
    const full = own > 0 && own + one.speed.block / 2 > (total - before) / (parts - result.length + 1);
    if (chunk.length === most || (full && result.length < parts)) {
      if (result.length === parts) break;
      result.push([one]);
      before += own;
      own = one.speed.block;
    } else {
      chunk.push(one);
      own += one.speed.block;
    }
  }
  return result;
}
