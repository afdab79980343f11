// Strategy `sync`: every step is summed over all replicas of all sites and committed by all at once.
import { saversOf } from "../../core/plan/states.ts";
import { innerStep } from "./inner-step.ts";
import type { Strategy, StrategyParts } from "./strategy.ts";

export function syncStrategy({ config, plan, cohort, onStep }: StrategyParts): Strategy {
  return {
    savers: saversOf(config, plan),
    isEven: true,
    async advance(from, until, interrupted) {
      for (let step = from + 1; step <= until && !interrupted(); step++) {
        onStep(await innerStep(config, plan.replicas, cohort, step));
      }
    },
  };
}
