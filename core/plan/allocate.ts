// How many blocks each stage of a pipeline takes, its workers in a given order. Blocks are alike, so a cut is a number
// of blocks a stage, and what a dynamic program over cuts would find (test/core/allocate.test.ts compares all of them)
// takes two greedy passes: exact, in O(blocks x stages).
// Not here: which workers, and in which order (pipelines.ts).

/** A stage's seconds a microbatch: `fixed + blocks * each`, and what its memory takes. */
export interface StageRoom {
  readonly fixed: number;
  readonly each: number;
  /** Blocks at most. */
  readonly most: number;
}

export interface Allocation {
  /** Blocks of each stage, one at least. */
  readonly blocks: readonly number[];
  /** Seconds a microbatch of all stages together, and of the slowest. */
  readonly sum: number;
  readonly largest: number;
}

/** The smallest largest stage; of those that have it, the smallest sum. Null when the blocks do not fit. */
export function allocate(rooms: readonly StageRoom[], blocks: number): Allocation | null {
  const largest = smallestLargest(rooms, blocks);
  return largest === null ? null : smallestSum(rooms, blocks, largest);
}

/**
 * All allocations of which none has both a smaller or equal sum and a smaller or equal largest stage than another,
 * from the smallest largest stage on: with few microbatches the sum matters more, with many the largest.
 */
export function allocationFront(rooms: readonly StageRoom[], blocks: number): Allocation[] {
  const first = allocate(rooms, blocks);
  if (!first) return [];
  const times = rooms.flatMap(({ fixed, each, most }) =>
    Array.from({ length: Math.min(most, blocks) }, (_, i) => fixed + (i + 1) * each),
  );
  const bounds = [...new Set(times)].filter((time) => time > first.largest).sort((a, b) => a - b);
  const front = [first];
  for (const bound of bounds) {
    const next = smallestSum(rooms, blocks, bound);
    if (next.sum < front.at(-1)!.sum) front.push(next);
  }
  return front;
}

/** One block each, then one after another to where it makes the least of a stage. */
function smallestLargest(rooms: readonly StageRoom[], blocks: number): number | null {
  if (rooms.length > blocks || rooms.some(({ most }) => most < 1)) return null;
  const next = rooms.map(({ fixed, each, most }) => (most > 1 ? fixed + 2 * each : Infinity));
  const taken = rooms.map(() => 1);
  let largest = Math.max(...rooms.map(({ fixed, each }) => fixed + each));
  for (let left = blocks - rooms.length; left > 0; left--) {
    let best = 0;
    for (let stage = 1; stage < next.length; stage++) if (next[stage]! < next[best]!) best = stage;
    if (next[best] === Infinity) return null;
    largest = Math.max(largest, next[best]!);
    const { fixed, each, most } = rooms[best]!;
    const count = ++taken[best]!;
    next[best] = count < most ? fixed + (count + 1) * each : Infinity;
  }
  return largest;
}

/** No stage above `bound`: as many blocks as it allows to the fastest, then to the next. `bound` allows for all. */
function smallestSum(rooms: readonly StageRoom[], blocks: number, bound: number): Allocation {
  const fastestFirst = rooms
    .map((_, stage) => stage)
    .sort((a, b) => rooms[a]!.each - rooms[b]!.each || a - b);
  const counts = rooms.map(() => 1);
  let left = blocks - rooms.length;
  for (const stage of fastestFirst) {
    const { fixed, each, most } = rooms[stage]!;
    while (left > 0 && counts[stage]! < most && fixed + (counts[stage]! + 1) * each <= bound) {
      counts[stage]!++;
      left--;
    }
  }
  const seconds = rooms.map(({ fixed, each }, stage) => fixed + counts[stage]! * each);
  return {
    blocks: counts,
    sum: seconds.reduce((sum, time) => sum + time, 0),
    largest: Math.max(...seconds),
  };
}
