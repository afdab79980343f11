// The mean over time of a figure that jumps.
import type { Clock } from "./clock.ts";

export class TimeMean {
  readonly #clock: Clock;
  #value: number;
  #since = 0;
  #sum = 0;

  constructor(clock: Clock, value: number) {
    this.#clock = clock;
    this.#value = value;
  }

  add(change: number): void {
    this.#pass();
    this.#value += change;
  }

  /** From the clock's beginning to now. */
  get mean(): number {
    this.#pass();
    return this.#since > 0 ? this.#sum / this.#since : this.#value;
  }

  #pass(): void {
    const { now } = this.#clock;
    this.#sum += this.#value * (now - this.#since);
    this.#since = now;
  }
}
