// Simulated time: actions happen in order, and nothing takes time but what is said to.
import { Queue } from "./queue.ts";

export class Clock {
  readonly #queue = new Queue<() => void>();
  #now = 0;
  #stopped = false;

  /** Seconds from the beginning. */
  get now(): number {
    return this.#now;
  }

  at(time: number, action: () => void): void {
    this.#queue.push(time, action);
  }

  stop(): void {
    this.#stopped = true;
  }

  /** Until `end`, or until it is stopped. `passed` is told the time now and then. */
  run(end: number, passed: (now: number) => void): void {
    while (!this.#stopped && this.#queue.first && this.#queue.first.at < end) {
      const { at, item: act } = this.#queue.pop()!;
      this.#now = at;
      act();
      passed(at);
    }
    if (!this.#stopped) this.#now = end;
  }
}
