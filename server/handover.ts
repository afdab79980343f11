// Has workers keep their states from the end of a generation until the next has begun.
// Not here: when it comes to that (run.ts), who keeps what (core/plan/kept-states.ts).
import type { RunConfig } from "../core/model/config.ts";
import { KeptStates } from "../core/plan/kept-states.ts";
import { leadReplicas, type Plan } from "../core/plan/plan.ts";
import { goingOn, type Progress } from "../core/plan/progress.ts";
import type { Cohort } from "./cohort.ts";
import type { CommittedStep, Strategy } from "./strategy/strategy.ts";

export class Handover extends KeptStates {
  /** Whose states they are. */
  readonly #generation: number;
  /** That generation's. */
  readonly #strategy: Strategy;

  constructor(config: RunConfig, plan: Plan, generation: number, strategy: Strategy) {
    super(config, plan);
    this.#generation = generation;
    this.#strategy = strategy;
  }

  /** Where the sites of the next plan go on, where sites go their own way. */
  progressOf(plan: Plan): Progress<CommittedStep> | null {
    const { progress } = this.#strategy;
    const sites = leadReplicas(plan).map(({ site }) => site);
    return progress ? goingOn(progress, sites, this.sourceOf) : null;
  }

  /** Ends the cohort's generation, when nothing is under way: all keep their states. @throws WorkerLost */
  async keepAll(cohort: Cohort): Promise<void> {
    this.#keep(await cohort.ask(this.#hold(cohort, false), "held"));
  }

  /** The same after a loss, of who is left: what is under way is given up. Whether that is a whole model's state. */
  async salvage(cohort: Cohort): Promise<boolean> {
    this.#keep(await cohort.gather(this.#hold(cohort, true), "held"));
    return this.isWhole;
  }

  #hold({ generation }: Cohort, interrupts: boolean) {
    return { type: "hold", generation, of: this.#generation, interrupts } as const;
  }

  #keep(answers: ReadonlyMap<string, { readonly kept: boolean }>): void {
    const { unsure = [] } = this.#strategy;
    this.keepOnly((worker) => !unsure.includes(worker) && (answers.get(worker)?.kept ?? false));
  }
}
