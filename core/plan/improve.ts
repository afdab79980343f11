// Makes a grouping better by moving workers: from a group to another, out of the plan or back in, or two in exchange,
// as long as the site gets more done in the same time. For sites that are too large to try everything.
import { groupingOf, type Grouping, type SiteTask } from "./grouping.ts";
import { goodPipeline, type Candidate, type Pipeline } from "./pipelines.ts";

/** Sites larger than this are left as they are: their groups have enough workers to be even. */
const MOST_WORKERS = 64;
interface Group {
  readonly workers: readonly Candidate[];
  /** Null for the group of those who are left out, and for one that nobody is in. */
  readonly pipeline: Pipeline | null;
}

/**
 * @param seconds that the site has for a step
 * @param mostTrials pipelines that may be tried
 */
export function improve(task: SiteTask, grouping: Grouping, seconds: number, mostTrials: number): Grouping {
  if (task.workers.length > MOST_WORKERS || task.depth !== null) return grouping;
  const pipelines = grouping.groups.map(([pipeline]) => pipeline!);
  const used = new Set(pipelines.flatMap(({ workers }) => workers));
  let trials = 0;
  let groups: Group[] = [
    { workers: task.workers.filter((one) => !used.has(one)), pipeline: null },
    ...pipelines.map((pipeline) => ({ workers: pipeline.workers, pipeline })),
    { workers: [], pipeline: null },
  ];
  let best = worth(task, groups, seconds);
  const accept = (a: number, b: number, ofA: readonly Candidate[], ofB: readonly Candidate[]): boolean => {
    if (trials >= mostTrials) return false;
    const next = groups.with(a, regrouped(task, a, ofA)).with(b, regrouped(task, b, ofB));
    trials += 2;
    if (next.some(({ workers, pipeline }, i) => i > 0 && workers.length > 0 && !pipeline)) return false;
    const value = worth(task, next, seconds);
    if (value <= best * (1 + 1e-9)) return false;
    groups = tidy(next);
    best = value;
    return true;
  };
  // Once trials are used up, nothing more is accepted.
  while (someMove(groups, accept));
  return groupingOf(
    task,
    groups.flatMap(({ pipeline }) => (pipeline ? [[pipeline]] : [])),
  );
}

/** Tries moves in order until one is accepted. */
function someMove(
  groups: readonly Group[],
  accept: (a: number, b: number, ofA: readonly Candidate[], ofB: readonly Candidate[]) => boolean,
): boolean {
  for (let a = 0; a < groups.length; a++) {
    for (const one of firstOfEachKind(groups[a]!.workers)) {
      const without = groups[a]!.workers.filter((other) => other !== one);
      for (let b = 0; b < groups.length; b++) {
        if (b === a) continue;
        if (accept(a, b, without, [...groups[b]!.workers, one])) return true;
        if (b < a) continue;
        for (const other of firstOfEachKind(groups[b]!.workers)) {
          if (other.kind === one.kind) continue;
          const exchanged = groups[b]!.workers.map((worker) => (worker === other ? one : worker));
          if (accept(a, b, [...without, other], exchanged)) return true;
        }
      }
    }
  }
  return false;
}

function firstOfEachKind(workers: readonly Candidate[]): Candidate[] {
  return workers.filter(({ kind }, i) => workers.findIndex((other) => other.kind === kind) === i);
}

function regrouped(task: SiteTask, index: number, workers: readonly Candidate[]): Group {
  const fits = index > 0 && workers.length > 0 && workers.length <= task.load.blocks;
  return { workers, pipeline: fits ? goodPipeline(task, workers, task.share(workers)) : null };
}

/** One empty group, at the end, for a worker to be alone in. */
function tidy([leftOut, ...groups]: readonly Group[]): Group[] {
  return [leftOut!, ...groups.filter(({ workers }) => workers.length > 0), { workers: [], pipeline: null }];
}

/** Microbatches in `seconds`, parts of one counted. */
function worth(task: SiteTask, groups: readonly Group[], seconds: number): number {
  const pipelines = groups.flatMap(({ pipeline }) => (pipeline ? [pipeline] : []));
  if (pipelines.length === 0) return 0;
  const { after } = groupingOf(
    task,
    pipelines.map((pipeline) => [pipeline]),
  );
  return pipelines.reduce(
    (sum, { fill, period }) => sum + Math.max(0, (seconds - after - fill) / period + 1),
    0,
  );
}
