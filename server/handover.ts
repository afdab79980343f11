// Has workers keep their states from the end of a generation until the next has begun.
// Not here: when it comes to that (run.ts), who keeps what (core/plan/kept-states.ts).
import type { RunConfig } from "../core/model/config.ts";
import { KeptStates } from "../core/plan/kept-states.ts";
import type { Plan } from "../core/plan/plan.ts";
import type { Cohort } from "./cohort.ts";

export type RoundsTokens = Readonly<Record<string, readonly number[]>>;

export class Handover extends KeptStates {
  /** Strategy `rounds`: tokens since each fragment's last exchange, by site. */
  readonly tokens: RoundsTokens | undefined;
  /** Whose states they are. */
  readonly #generation: number;

  constructor(config: RunConfig, plan: Plan, generation: number, tokens?: RoundsTokens) {
    super(config, plan);
    this.tokens = tokens;
    this.#generation = generation;
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
    this.keepOnly((worker) => answers.get(worker)?.kept ?? false);
  }
}
