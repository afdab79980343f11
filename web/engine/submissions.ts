// What a GPU was given to do and has not done yet, and whether it gets on with it.
// Not here: waiting for it (waiting.ts).

interface Work {
  pending: number;
  /** Whether some was finished since that was last asked. */
  finishedSome: boolean;
}
const works = new WeakMap<GPUQueue, Work>();

/** Resolves when the GPU has done it. */
export function submit(queue: GPUQueue, commands: GPUCommandBuffer[]): Promise<undefined> {
  queue.submit(commands);
  return track(queue, queue.onSubmittedWorkDone());
}

/** Counts as work of the queue's until it is settled. */
export function track<T>(queue: GPUQueue, work: Promise<T>): Promise<T> {
  const all = workOf(queue);
  const finish = () => {
    all.pending--;
    all.finishedSome = true;
  };
  all.pending++;
  work.then(finish, finish);
  return work;
}

/** Whether the queue has work, and has finished none since this was last asked. */
export function isStalled(queue: GPUQueue): boolean {
  const work = workOf(queue);
  const { pending, finishedSome } = work;
  work.finishedSome = false;
  return pending > 0 && !finishedSome;
}

function workOf(queue: GPUQueue): Work {
  let work = works.get(queue);
  if (!work) {
    work = { pending: 0, finishedSome: false };
    works.set(queue, work);
  }
  return work;
}
