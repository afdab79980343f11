// The states that workers keep in memory from the end of a generation until the next has begun: has them kept, knows who
// keeps what, and whether a plan can be filled from that.
// Not here: when it comes to that (run.ts), how states get from one to another (web/worker/take-state.ts).
import type { RunConfig } from "../core/model/config.ts";
import { holdersOf, movesTo, replicasAreAlike, type Holder, type Moves } from "../core/plan/moves.ts";
import type { Plan } from "../core/plan/plan.ts";
import type { Cohort } from "./cohort.ts";

export type RoundsTokens = Readonly<Record<string, readonly number[]>>;

export class Handover {
  /** Strategy `rounds`: tokens since each fragment's last exchange, by site. */
  readonly tokens: RoundsTokens | undefined;
  readonly #config: RunConfig;
  /** Whose states they are. */
  readonly #generation: number;
  #holders: readonly Holder[];
  /** Someone is gone whose state no other has. */
  #isIncomplete = false;

  constructor(config: RunConfig, plan: Plan, generation: number, tokens?: RoundsTokens) {
    this.tokens = tokens;
    this.#config = config;
    this.#generation = generation;
    this.#holders = holdersOf(config, plan);
  }

  /** Ends the cohort's generation, when nothing is under way: all keep their states. @throws WorkerLost */
  async keepAll(cohort: Cohort): Promise<void> {
    this.#keepOnly(await cohort.ask(this.#hold(cohort, false), "held"));
  }

  /** The same after a loss, of who is left: what is under way is given up. Whether that is a whole model's state. */
  async salvage(cohort: Cohort): Promise<boolean> {
    this.#keepOnly(await cohort.gather(this.#hold(cohort, true), "held"));
    return this.#isWhole;
  }

  #hold({ generation }: Cohort, interrupts: boolean) {
    return { type: "hold", generation, of: this.#generation, interrupts } as const;
  }

  lose(gone: string): void {
    this.#keep(({ worker }) => worker !== gone);
  }

  /** Workers have said whether they keep their state. */
  #keepOnly(answers: ReadonlyMap<string, { readonly kept: boolean }>): void {
    this.#keep(({ worker }) => answers.get(worker)?.kept ?? false);
  }

  #keep(isLeft: (holder: Holder) => boolean): void {
    const left = this.#holders.filter(isLeft);
    if (left.length < this.#holders.length && !replicasAreAlike(this.#config)) this.#isIncomplete = true;
    this.#holders = left;
  }

  get #isWhole(): boolean {
    const everything = { worker: "", first: 0, last: this.#config.model.layers };
    const plan = { replicas: [{ site: "", stages: [everything], microbatches: [] }], spare: [] };
    return this.movesTo(plan) !== null;
  }

  /** What the plan's workers take from whom; null when something that they need is gone. */
  movesTo(plan: Plan): Moves | null {
    return this.#isIncomplete ? null : movesTo(this.#config, plan, this.#holders);
  }
}
