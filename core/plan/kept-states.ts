// The states that workers keep in memory from the end of a generation until the next has begun: who keeps what, and
// whether a plan can be filled from that.
// Not here: having them kept (server/handover.ts), how they get from one to another (web/worker/take-state.ts).
import type { RunConfig } from "../model/config.ts";
import {
  areWhole,
  holdersOf,
  movesTo,
  outlivesLosses,
  siteSources,
  type Holder,
  type Moves,
} from "./moves.ts";
import type { Plan } from "./plan.ts";

export class KeptStates {
  readonly #config: RunConfig;
  #holders: readonly Holder[];
  /** Of all. */
  readonly #sites: ReadonlySet<string>;
  /** Someone is gone whose state is not to be done without. */
  #isIncomplete = false;

  /** Of all workers of `plan`. */
  constructor(config: RunConfig, plan: Plan) {
    this.#config = config;
    this.#holders = holdersOf(config, plan);
    this.#sites = new Set(plan.replicas.map(({ site }) => site));
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
    if (left.length < this.#holders.length && !outlivesLosses(this.#config)) this.#isIncomplete = true;
    this.#holders = left;
  }

  /** The site whose state each site of a plan takes, where sites have states of their own. Only while `isWhole`. */
  get sourceOf(): (site: string) => string {
    const source = siteSources(this.#config, this.#holders);
    return (site) => source(site)!;
  }

  /** What the run does without, in words: of each site that has lost a part. */
  get losses(): string[] {
    const { strategy } = this.#config;
    if (strategy.kind !== "rounds") return [];
    const sourceOf = siteSources(this.#config, this.#holders);
    return [...this.#sites].flatMap((site) => {
      if (sourceOf(site) !== site)
        return [`what site ${site} has trained since its latest exchanges is lost`];
      const unsaid = this.#holders.filter((holder) => holder.site === site && holder.hasUnsaid);
      return areWhole(this.#config, unsaid)
        ? []
        : [`some of what encoding left unsaid of site ${site}'s changes is lost`];
    });
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
