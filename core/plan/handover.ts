// The states that workers keep in memory from the end of a generation until the next has begun: who keeps what, and
// whether a plan can be filled from that.
// Not here: when it comes to that (server/run.ts, core/simulate/run.ts), how states get from one to another (web/worker/take-state.ts).
import type { RunConfig } from "../model/config.ts";
import { holdersOf, movesTo, replicasAreAlike, type Holder, type Moves } from "./moves.ts";
import type { Plan } from "./plan.ts";

export type RoundsTokens = Readonly<Record<string, readonly number[]>>;

export class Handover {
  /** Whose states they are. */
  readonly generation: number;
  /** Strategy `rounds`: tokens since each fragment's last exchange, by site. */
  readonly tokens: RoundsTokens | undefined;
  readonly #config: RunConfig;
  #holders: readonly Holder[];
  /** Someone is gone whose state no other has. */
  #isIncomplete = false;

  constructor(config: RunConfig, plan: Plan, generation: number, tokens?: RoundsTokens) {
    this.generation = generation;
    this.tokens = tokens;
    this.#config = config;
    this.#holders = holdersOf(config, plan);
  }

  lose(gone: string): void {
    this.#keep(({ worker }) => worker !== gone);
  }

  /** Workers have said whether they keep their state. */
  keepOnly(answers: ReadonlyMap<string, { readonly kept: boolean }>): void {
    this.#keep(({ worker }) => answers.get(worker)?.kept ?? false);
  }

  #keep(isLeft: (holder: Holder) => boolean): void {
    const left = this.#holders.filter(isLeft);
    if (left.length < this.#holders.length && !replicasAreAlike(this.#config)) this.#isIncomplete = true;
    this.#holders = left;
  }

  /** Who keeps a part of it. */
  get keepers(): string[] {
    return this.#holders.map(({ worker }) => worker);
  }

  /** Whether there is all that a model goes on from. */
  get isWhole(): boolean {
    const everything = { worker: "", first: 0, last: this.#config.model.layers };
    const plan = { replicas: [{ site: "", stages: [everything], microbatches: [] }], spare: [] };
    return this.movesTo(plan) !== null;
  }

  /** What the plan's workers take from whom; null when something that they need is gone. */
  movesTo(plan: Plan): Moves | null {
    return this.#isIncomplete ? null : movesTo(this.#config, plan, this.#holders);
  }
}
