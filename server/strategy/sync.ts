// Strategy `sync`: every step is summed over all replicas of all sites and committed by all at once.
import { leadReplicas } from "../../core/plan/plan.ts";
import { needsFeedback, type Codec } from "../../core/reduce/codec.ts";
import { innerStep } from "./inner-step.ts";
import type { Strategy, StrategyParts } from "./strategy.ts";

export function syncStrategy({ config, plan, cohort, onStep }: StrategyParts, gradients: Codec): Strategy {
  // All replicas hold the same, but each site by itself what encoding has left unsaid.
  const saved = needsFeedback(gradients) ? leadReplicas(plan) : plan.replicas.slice(0, 1);
  return {
    savers: saved.flatMap(({ stages }) => stages.map(({ worker }) => worker)),
    async advance(from, until, interrupted) {
      for (let step = from + 1; step <= until && !interrupted(); step++) {
        onStep(await innerStep(config, plan.replicas, cohort, step));
      }
    },
  };
}
