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

/** Replicas that plans have in common are played through once. */
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
    const leads = leadReplicas(plan);
    return leads.map(({ site }, i) => {
      const replicas = plan.replicas.filter((replica) => replica.site === site);
      const microbatches = replicas.reduce((sum, replica) => sum + replica.microbatches.length, 0);
      return {
        site,
        seconds:
          Math.max(...replicas.map((replica) => this.#secondsOf(replica))) +
          siteSumOf(this.#config, plan, site, this.#measured),
        tokens: microbatches * microbatch * model.context,
        share: plan.wideShares?.[i] ?? 1 / leads.length,
      };
    });
  }

  #secondsOf(replica: Replica): number {
    const known = this.#seconds.get(replica);
    if (known !== undefined) return known;
    const own = new Map([[replica.site, replica.stages.map(({ worker }) => worker)]]);
    const run = { config: this.#config, sites: own, measured: this.#measured };
    const [seconds] = replicaSeconds({ ...run, plan: { replicas: [replica], spare: [] } }, [replica]);
    this.#seconds.set(replica, seconds!);
    return seconds!;
  }
}
