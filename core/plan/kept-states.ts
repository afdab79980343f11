// The states that workers keep in memory from the end of a generation until the next has begun: who keeps what, and
// whether a plan can be filled from that.
// Not here: having them kept (server/handover.ts), how they get from one to another (web/worker/take-state.ts).
import type { RunConfig } from "../model/config.ts";
import { holdersOf, movesTo, replicasAreAlike, type Holder, type Moves } from "./moves.ts";
import type { Plan } from "./plan.ts";

export class KeptStates {
  readonly #config: RunConfig;
  #holders: readonly Holder[];
  /** Someone is gone whose state no other has. */
  #isIncomplete = false;

  /** Of all workers of `plan`. */
  constructor(config: RunConfig, plan: Plan) {
    this.#config = config;
    this.#holders = holdersOf(config, plan);
  }

  /** Who keeps a part of it. */
  get keepers(): string[] {
    return this.#holders.map(({ worker }) => worker);
  }

  lose(gone: string): void {
    this.keepOnly((worker) => worker !== gone);
  }

  /** Others have nothing any more. */
  keepOnly(isKept: (worker: string) => boolean): void {
    const left = this.#holders.filter(({ worker }) => isKept(worker));
    if (left.length < this.#holders.length && !replicasAreAlike(this.#config)) this.#isIncomplete = true;
    this.#holders = left;
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
