// The plans of a simulated run: the server's rules, but that full plans, which take long for large clusters, are made at
// most every so often, and plans are mended in between.
// Not here: the planner (core/plan/planner.ts), the server's own (server/planning.ts).
import type { RunConfig } from "../model/config.ts";
import type { Measured } from "../plan/measured.ts";
import type { SiteWorkers } from "../plan/partition.ts";
import type { Plan } from "../plan/plan.ts";
import { PlanImpossible } from "../plan/plan-impossible.ts";
import { planRun, type Planned } from "../plan/planner.ts";
import { withoutBroken, withStandIns } from "../plan/repair.ts";
import { isWorthAPause } from "../plan/replanning.ts";

/** Seconds for each worker of the cluster that no full plan is made after one: half an hour for 1,000 workers. */
const REST_PER_WORKER = 1.8;

export class SimulatedPlanning {
  readonly #config: RunConfig;
  readonly #measured: Measured;
  readonly #rest: number;
  #restUntil = 0;
  /** Found to be worth a pause. */
  #wanted: Plan | null = null;
  /** The first full plan. */
  first: Planned | null = null;
  full = 0;
  mended = 0;

  /** `measured`: with the speed of every worker. */
  constructor(config: RunConfig, measured: Measured) {
    this.#config = config;
    this.#measured = measured;
    this.#rest = REST_PER_WORKER * measured.workers.size;
  }

  /** No full plan is made before. */
  get restUntil(): number {
    return this.#restUntil;
  }

  /** For those who are there; `last` is the plan so far. Null when they cannot hold the model. */
  plan(now: number, sites: SiteWorkers, last: Plan | null): Plan | null {
    const basis = this.#wanted ?? last;
    this.#wanted = null;
    const mended = basis && this.#mend(now, basis, sites);
    return mended ?? this.#planFully(now, sites)?.plan ?? null;
  }

  /** Whether another plan, with those who came, is worth a pause. */
  wantsAnother(now: number, sites: SiteWorkers, current: Plan): boolean {
    const next = this.#planFully(now, sites);
    const isBetter =
      next !== null && isWorthAPause(current, next, { occasion: "members", stepsLeft: Infinity });
    if (isBetter) this.#wanted = next.plan;
    return isBetter;
  }

  #mend(now: number, plan: Plan, sites: SiteWorkers): Plan | null {
    const mended =
      withStandIns(plan, sites, this.#measured) ??
      (now < this.#restUntil ? withoutBroken(this.#config, plan, sites, this.#measured) : null);
    if (mended && mended !== plan) this.mended++;
    return mended;
  }

  #planFully(now: number, sites: SiteWorkers): Planned | null {
    if (![...sites.values()].some(({ length }) => length > 0)) return null;
    try {
      const planned = planRun(this.#config, sites, this.#measured);
      this.full++;
      this.#restUntil = now + this.#rest;
      this.first ??= planned;
      return planned;
    } catch (error) {
      if (error instanceof PlanImpossible) return null;
      throw error;
    }
  }
}
