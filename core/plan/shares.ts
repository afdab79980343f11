// How many microbatches of a step each replica takes, so that the slowest is done as early as can be.
import { pipelineSeconds, type PipelineCost } from "./cost.ts";

/** A pipeline, and what its site takes after the pipelines are done. */
export interface Sharer extends PipelineCost {
  readonly after: number;
}

/**
 * Exact: each microbatch in turn goes to where it is done earliest. That is the smallest largest time, as a pipeline's
 * time only grows with its share; among equals the first replica takes it. O(microbatches x log replicas).
 *
 * @returns microbatches of each replica, 0 where others are done sooner with all
 */
export function shareMicrobatches(replicas: readonly Sharer[], microbatches: number): number[] {
  const shares = replicas.map(() => 0);
  const next = (replica: number) => {
    const sharer = replicas[replica]!;
    return pipelineSeconds(sharer, shares[replica]! + 1) + sharer.after;
  };
  // A binary heap of replicas by when they would be done with one more; `done` beside it.
  const done = replicas.map((_, replica) => next(replica));
  const before = (a: number, b: number) => done[a]! < done[b]! || (done[a] === done[b] && a < b);
  const heap = replicas.map((_, replica) => replica).sort((a, b) => (before(a, b) ? -1 : 1));
  for (let left = microbatches; left > 0; left--) {
    const replica = heap[0]!;
    shares[replica]!++;
    done[replica] = next(replica);
    sink(heap, before);
  }
  return shares;
}

/** Restores the heap after its first entry grew. */
function sink(heap: number[], before: (a: number, b: number) => boolean): void {
  let at = 0;
  for (;;) {
    const [left, right] = [2 * at + 1, 2 * at + 2];
    let least = at;
    if (left < heap.length && before(heap[left]!, heap[least]!)) least = left;
    if (right < heap.length && before(heap[right]!, heap[least]!)) least = right;
    if (least === at) return;
    [heap[at], heap[least]] = [heap[least]!, heap[at]!];
    at = least;
  }
}
