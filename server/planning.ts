// A run's plan: made of the workers there are and of what is known of their speeds, and thought over again when either
// changes.
// Not here: the planner (core/plan/planner.ts), the change from one plan to another (run.ts).
import type { RunConfig } from "../core/model/config.ts";
import type { Measured } from "../core/plan/measured.ts";
import { stageBytes, stageSpecOf } from "../core/plan/memory.ts";
import type { SiteWorkers } from "../core/plan/partition.ts";
import { positionOf, type Plan } from "../core/plan/plan.ts";
import { PlanImpossible } from "../core/plan/plan-impossible.ts";
import { planRun, type Planned } from "../core/plan/planner.ts";
import { isWorthAPause, type Circumstances } from "../core/plan/replanning.ts";

/** Workers that may take part, and what is known of their speeds and links. */
export interface Candidates {
  readonly sites: SiteWorkers;
  readonly measured: Measured;
}

/** Speeds are thought over so many times in a row to the same end before a plan is given up for them. */
const CONFIRMED = 2;
/** Of the server's time, what thinking it over may take: large clusters are planned in seconds. */
const MOST_OF_TIME = 0.02;

export class Planning {
  readonly #config: RunConfig;
  readonly #now: () => number;
  /** Bytes that a worker has no room for, as it has said. */
  readonly #tooMuch = new Map<string, number>();
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
    return planRun(this.#config, sites, this.#within(measured));
  }

  /** Whether to change from `current` to another plan. */
  wantsAnother(current: Plan, candidates: () => Candidates, circumstances: Circumstances): boolean {
    const { occasion } = circumstances;
    const began = this.#now();
    if (occasion === "speeds" && began < this.#restUntil) return false;
    const { sites, measured } = candidates();
    if (![...sites.values()].some(({ length }) => length > 0)) return false;
    const isBetter = this.#isBetter(current, sites, this.#within(measured), circumstances);
    const ended = this.#now();
    this.#restUntil = ended + (ended - began) / MOST_OF_TIME;
    if (occasion === "members") return isBetter;
    this.#verdicts = isBetter ? this.#verdicts + 1 : 0;
    return this.#verdicts >= CONFIRMED;
  }

  /** A worker could not hold what it was assigned. Returns whether another plan takes that into account. */
  learnThatTooMuch(current: Plan, worker: string, { sites, measured }: Candidates): boolean {
    const { replica, stage } = positionOf(current, worker)!;
    this.#tooMuch.set(worker, stageBytes(stageSpecOf(this.#config, current.replicas[replica]!, stage)));
    try {
      const { plan } = planRun(this.#config, sites, this.#within(measured));
      return JSON.stringify(plan.replicas) !== JSON.stringify(current.replicas);
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
  #within(measured: Measured): Measured {
    if (this.#tooMuch.size === 0) return measured;
    const workers = new Map(measured.workers);
    for (const [worker, bytes] of this.#tooMuch) {
      const speed = workers.get(worker);
      if (speed) workers.set(worker, { ...speed, memory: Math.min(speed.memory, bytes - 1) });
    }
    return { ...measured, workers };
  }
}
