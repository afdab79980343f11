// What a plan's sites do in a step, and how long it takes each by the prediction: exchanges between sites apart.
import type { RunConfig } from "../model/config.ts";
import type { Measured } from "../plan/measured.ts";
import { leadReplicas, type Plan, type Replica } from "../plan/plan.ts";
import { replicaSeconds, siteSumOf } from "../plan/predict.ts";

export interface SiteStep {
  readonly site: string;
  readonly seconds: number;
  readonly tokens: number;
  /** Of the sums over sites. */
  readonly share: number;
}

/** Plans that follow each other have many replicas in common: each is played through once. */
export class SiteSteps {
  readonly #config: RunConfig;
  readonly #measured: Measured;
  readonly #seconds = new WeakMap<Replica, number>();

  /** `measured`: with the speed of every worker. */
  constructor(config: RunConfig, measured: Measured) {
    this.#config = config;
    this.#measured = measured;
  }

  /** In order of lead replicas. */
  of(plan: Plan): SiteStep[] {
    const { microbatch, model } = this.#config;
    this.#play(plan);
    const leads = leadReplicas(plan);
    return leads.map(({ site }, i) => {
      const replicas = plan.replicas.filter((replica) => replica.site === site);
      const microbatches = replicas.reduce((sum, replica) => sum + replica.microbatches.length, 0);
      return {
        site,
        seconds:
          Math.max(...replicas.map((replica) => this.#seconds.get(replica)!)) +
          siteSumOf(this.#config, plan, site, this.#measured),
        tokens: microbatches * microbatch * model.context,
        share: plan.wideShares?.[i] ?? 1 / leads.length,
      };
    });
  }

  #play(plan: Plan): void {
    const unknown = plan.replicas.filter((replica) => !this.#seconds.has(replica));
    const workers = unknown.flatMap(({ stages }) => stages.map(({ worker }) => worker));
    const run = { config: this.#config, plan, sites: new Map([["", workers]]), measured: this.#measured };
    for (const [i, seconds] of replicaSeconds(run, unknown).entries())
      this.#seconds.set(unknown[i]!, seconds);
  }
}
