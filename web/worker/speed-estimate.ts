// What this worker knows of its own speed: from a probe at first, then from the steps that it trains.
import { refineSpeed, TIMES, type Timing } from "../../core/plan/fit-speed.ts";
import type { WorkerSpeed } from "../../core/plan/speed.ts";
import { flopsOf } from "../../core/plan/work.ts";

/** WebGPU does not say how much memory a GPU has: a worker finds out when it is assigned too much, and says so. */
const UNKNOWN_MEMORY = 2 ** 50;

export class SpeedEstimate {
  /** Null before anything was measured. */
  #first: WorkerSpeed | null = null;
  readonly #recent: Timing[] = [];

  get speed(): WorkerSpeed | null {
    return this.#first && refineSpeed(this.#first, this.#recent);
  }

  probed(rates: Omit<WorkerSpeed, "memory">): void {
    this.#first ??= { ...rates, memory: UNKNOWN_MEMORY };
  }

  /** Work of a step took the worker so long, without what it waited for. */
  trained(timing: Timing): void {
    const { seconds } = timing;
    if (seconds <= 0) return;
    const rate = flopsOf(timing) / seconds;
    this.#first ??= { block: rate, head: rate, overhead: 0, memory: UNKNOWN_MEMORY };
    this.#recent.push(timing);
    if (this.#recent.length > TIMES) this.#recent.shift();
  }
}
