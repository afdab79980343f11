// Who is there when: workers stay and are away for times drawn from exponential distributions, each worker from numbers
// of its own, so that what one does is the same whoever else there is.
import { hashText, Random } from "../random.ts";
import type { Habit } from "../plan/cluster.ts";
import type { SiteWorkers } from "../plan/partition.ts";
import type { Clock } from "./clock.ts";

export interface ChurnParts {
  readonly clock: Clock;
  readonly seed: number;
  readonly sites: SiteWorkers;
  /** Who is not in it is always there. */
  readonly habits: ReadonlyMap<string, Habit>;
  readonly onCome: (worker: string) => void;
  readonly onLeave: (worker: string) => void;
}

export class Churn {
  readonly #parts: ChurnParts;
  readonly #away = new Set<string>();

  /** Begins as if it had always gone on: a worker is there with the share of time that it stays. */
  constructor(parts: ChurnParts) {
    this.#parts = parts;
    for (const [worker, habit] of parts.habits) {
      const random = new Random(hashText(`${parts.seed}/${worker}`));
      if (random.unit() >= habit.stays / (habit.stays + habit.away)) this.#away.add(worker);
      this.#wait(worker, habit, random);
    }
  }

  isThere(worker: string): boolean {
    return !this.#away.has(worker);
  }

  /** Those who are there, by site. */
  sites(): SiteWorkers {
    return new Map(
      [...this.#parts.sites].map(([site, workers]) => [site, workers.filter((id) => this.isThere(id))]),
    );
  }

  #wait(worker: string, habit: Habit, random: Random): void {
    const { clock, onCome, onLeave } = this.#parts;
    const mean = this.isThere(worker) ? habit.stays : habit.away;
    clock.at(clock.now - Math.log(1 - random.unit()) * mean, () => {
      const comes = this.#away.delete(worker);
      if (!comes) this.#away.add(worker);
      this.#wait(worker, habit, random);
      (comes ? onCome : onLeave)(worker);
    });
  }
}
