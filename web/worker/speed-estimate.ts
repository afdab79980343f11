// What this worker knows of its own speed: from a probe at first, then from the steps that it trains.
import { refineSpeed, type Timing } from "../../core/plan/fit-speed.ts";
import type { WorkerSpeed } from "../../core/plan/speed.ts";
import { flopsOf } from "../../core/plan/work.ts";

/** WebGPU does not say how much memory a GPU has: a worker finds out when it is assigned too much, and says so. */
const UNKNOWN_MEMORY = 2 ** 50;

export class SpeedEstimate {
  /** Null before anything was measured. */
  #speed: WorkerSpeed | null = null;

  get speed(): WorkerSpeed | null {
    return this.#speed;
  }

  probed(rates: Omit<WorkerSpeed, "memory">): void {
    this.#speed ??= { ...rates, memory: UNKNOWN_MEMORY };
  }

  /** Work of a step took the worker so long, without what it waited for. */
  trained(timing: Timing): void {
    const { seconds } = timing;
    if (seconds <= 0) return;
    const rate = flopsOf(timing) / seconds;
    if (this.#speed) this.#speed = refineSpeed(this.#speed, timing);
    else this.#speed = { block: rate, head: rate, overhead: 0, memory: UNKNOWN_MEMORY };
  }
}
