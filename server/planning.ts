// A run's plan: made of the workers there are and of what is known of their speeds, and thought over again when either
// changes.
// Not here: the planner (core/plan/planner.ts), the change from one plan to another (run.ts).
import type { RunConfig } from "../core/model/config.ts";
import { assumedSpeed, type Measured } from "../core/plan/measured.ts";
import { stageBytes, stageSpecOf } from "../core/plan/memory.ts";
import type { SiteWorkers } from "../core/plan/partition.ts";
import { positionOf, type Plan } from "../core/plan/plan.ts";
import { PlanImpossible } from "../core/plan/plan-impossible.ts";
import { planRun, type Planned } from "../core/plan/planner.ts";
import { isWorthAPause, type Circumstances } from "../core/plan/replanning.ts";
import type { WorkerSpeed } from "../core/plan/speed.ts";

/** Workers that may take part, and what is known of their speeds and links. */
export interface Candidates {
  readonly sites: SiteWorkers;
  readonly measured: Measured;
}

/** Speeds are thought over so many times in a row to the same end before a plan is given up for them. */
const CONFIRMED = 2;
/**
 * Shares of what workers had no room for that they are thought to have, the next where there is no plan with one: what a
 * worker can hold is found in a few tries, and at most a quarter of it is left unused.
 */
const THOUGHT_TO_FIT = [3 / 4, 7 / 8, 15 / 16, 1];
/** Of the server's time, what thinking it over may take: large clusters are planned in seconds. */
const MOST_OF_TIME = 0.02;

/** Of workers of which nothing is known, so that they can be told apart by their memory. */
const ALIKE: WorkerSpeed = { block: 1e9, head: 1e9, overhead: 0, memory: Infinity };

export class Planning {
  readonly #config: RunConfig;
  readonly #now: () => number;
  /** Bytes that a worker has no room for, as it has said, and the share of it that all are thought to have. */
  readonly #tooMuch = new Map<string, number>();
  #fitting = 1;
  #verdicts = 0;
  #restUntil = 0;

  /** `now`: seconds. */
  constructor(config: RunConfig, now: () => number = () => performance.now() / 1000) {
    this.#config = config;
    this.#now = now;
  }

  /** @throws PlanImpossible */
  plan({ sites, measured }: Candidates): Planned {
    this.#verdicts = 0;
    const planned = planRun(this.#config, sites, this.#within(sites, measured));
    // What follows from speeds that nobody has measured is no prediction.
    return measured.workers.size > 0 ? planned : { ...planned, prediction: null };
  }

  /** Whether to change from `current` to another plan. */
  wantsAnother(current: Plan, candidates: () => Candidates, circumstances: Circumstances): boolean {
    const { occasion } = circumstances;
    const began = this.#now();
    if (occasion === "speeds" && began < this.#restUntil) return false;
    const { sites, measured } = candidates();
    if (![...sites.values()].some(({ length }) => length > 0)) return false;
    const isBetter = this.#isBetter(current, sites, this.#within(sites, measured), circumstances);
    const ended = this.#now();
    this.#restUntil = ended + (ended - began) / MOST_OF_TIME;
    if (occasion === "members") return isBetter;
    this.#verdicts = isBetter ? this.#verdicts + 1 : 0;
    return this.#verdicts >= CONFIRMED;
  }

  /** Workers could not hold what they were assigned. Returns whether there is a plan that takes that into account. */
  learnThatTooMuch(current: Plan, unfit: Iterable<string>, { sites, measured }: Candidates): boolean {
    for (const worker of unfit) {
      const position = positionOf(current, worker);
      // Who only lends its state holds nothing new.
      if (!position) return false;
      const { replica, stage } = position;
      this.#tooMuch.set(worker, stageBytes(stageSpecOf(this.#config, current.replicas[replica]!, stage)));
    }
    return THOUGHT_TO_FIT.some((share) => {
      this.#fitting = share;
      return this.#isPossible(sites, this.#within(sites, measured));
    });
  }

  #isPossible(sites: SiteWorkers, measured: Measured): boolean {
    try {
      planRun(this.#config, sites, measured);
      return true;
    } catch (error) {
      if (error instanceof PlanImpossible) return false;
      throw error;
    }
  }

  #isBetter(current: Plan, sites: SiteWorkers, measured: Measured, circumstances: Circumstances): boolean {
    try {
      return isWorthAPause(current, planRun(this.#config, sites, measured), circumstances);
    } catch (error) {
      // Who is left cannot hold the model: the run says so when it comes to that.
      if (error instanceof PlanImpossible) return circumstances.occasion === "members";
      throw error;
    }
  }

  /** What is known, with the memory that workers have turned out to have. */
  #within(sites: SiteWorkers, measured: Measured): Measured {
    if (this.#tooMuch.size === 0) return measured;
    const assumed = assumedSpeed(sites, measured) ?? ALIKE;
    const withRoom = (id: string): [string, WorkerSpeed] => {
      const speed = measured.workers.get(id) ?? assumed;
      const tooMuch = this.#tooMuch.get(id) ?? Infinity;
      return [id, { ...speed, memory: Math.min(speed.memory, Math.ceil(this.#fitting * tooMuch) - 1) }];
    };
    return { ...measured, workers: new Map([...sites.values()].flat().map(withRoom)) };
  }
}
