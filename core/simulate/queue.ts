// What is to happen, earliest first; of what is to happen at the same time, what was put in first.

interface Entry<T> {
  readonly at: number;
  readonly order: number;
  readonly item: T;
}

const before = <T>(a: Entry<T>, b: Entry<T>): boolean => a.at < b.at || (a.at === b.at && a.order < b.order);

/** A binary heap. */
export class Queue<T> {
  readonly #heap: Entry<T>[] = [];
  #pushed = 0;

  get first(): Entry<T> | undefined {
    return this.#heap[0];
  }

  push(at: number, item: T): void {
    const heap = this.#heap;
    const entry = { at, order: this.#pushed++, item };
    let place = heap.length;
    while (place > 0) {
      const above = (place - 1) >> 1;
      if (before(heap[above]!, entry)) break;
      heap[place] = heap[above]!;
      place = above;
    }
    heap[place] = entry;
  }

  pop(): Entry<T> | undefined {
    const heap = this.#heap;
    const first = heap[0];
    const entry = heap.pop();
    if (!first || !entry || heap.length === 0) return first;
    let place = 0;
    for (;;) {
      let below = 2 * place + 1;
      if (below >= heap.length) break;
      if (below + 1 < heap.length && before(heap[below + 1]!, heap[below]!)) below++;
      if (before(entry, heap[below]!)) break;
      heap[place] = heap[below]!;
      place = below;
    }
    heap[place] = entry;
    return first;
  }
}
