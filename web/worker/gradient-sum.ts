// The sum of a step's gradients over all replicas, or, where sites exchange by rounds, over those of this worker's site.
// Not here: who sums what with whom (core/reduce/hierarchy.ts).
import type { UnsaidGradients } from "../../core/reduce/error-feedback.ts";
import { sumLayout, sumOverReplicas, type SumLayout } from "../../core/reduce/hierarchy.ts";
import type { Stage } from "../engine/stage.ts";
import type { Channel } from "./channel.ts";
import type { Meter } from "./meter.ts";
import type { Assignment } from "./worker-messages.ts";

export interface GradientSumParts {
  readonly self: string;
  readonly assignment: Assignment;
  readonly stage: Stage;
  readonly channel: Channel;
  readonly meter: Meter;
  /** Where what travels between sites needs error feedback, on replicas that keep it. */
  readonly unsaid: UnsaidGradients | null;
}

export class GradientSum {
  readonly #parts: GradientSumParts;
  /** Null where there is but one replica. */
  readonly #layout: SumLayout | null;

  /** @param site the worker's */
  constructor(parts: GradientSumParts, site: string) {
    const { config, plan } = parts.assignment;
    const replicas =
      config.strategy.kind === "sync"
        ? plan.replicas
        : plan.replicas.filter((replica) => replica.site === site);
    this.#parts = parts;
    this.#layout =
      replicas.length > 1 ? sumLayout(config.model, { ...plan, replicas, spare: [] }, parts.self) : null;
  }

  /** The stage's gradient becomes that of all. Of it the squared norm; of this replica's tokens the loss. */
  async take(step: number): Promise<{ squaredNorm: number; lossSum: number }> {
    const { assignment, stage, channel, meter, unsaid } = this.#parts;
    if (!this.#layout) return stage.sums();
    const { strategy, siteGradients: site, batch, model } = assignment.config;
    const wide = strategy.kind === "sync" ? strategy.gradients : "f32";
    const gradient = await stage.gradient();
    const codecs = { site, wide, unsaid };
    const watch = (acrossSites: Promise<unknown>) => meter.waitForExchange(meter.exchange(acrossSites));
    const tokens = batch * model.context;
    const sum = sumOverReplicas(this.#layout, gradient, tokens, codecs, channel.segments(step), watch);
    const [lossSum] = await Promise.all([stage.lossSum(), meter.wait(sum)]);
    stage.setGradient(gradient, stage.segment.start);
    // Here and not on the GPU, which would have to be waited for once more.
    return { squaredNorm: squaredNorm(gradient), lossSum };
  }
}

function squaredNorm(values: Float32Array): number {
  let sum = 0;
  for (const value of values) sum += value * value;
  return sum;
}
