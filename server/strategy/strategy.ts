// What a strategy is to a run: a way to take a generation's workers from one step to another.
import type { RunConfig } from "../../core/model/config.ts";
import type { Plan, Replica } from "../../core/plan/plan.ts";
import type { Progress } from "../../core/plan/progress.ts";
import type { Cohort } from "../cohort.ts";

/** A step that all sites have committed, or left out. */
export interface CommittedStep {
  readonly step: number;
  /** Mean over `tokens` tokens, nats. */
  readonly loss: number;
  readonly gradNorm: number;
  readonly tokens: number;
}

export interface StrategyParts {
  readonly config: RunConfig;
  readonly plan: Plan;
  readonly cohort: Cohort;
  /** In order of steps. */
  readonly onStep: (step: CommittedStep) => void;
}

export interface Strategy {
  /** Workers that a checkpoint needs the state of. */
  readonly savers: readonly string[];
  /** By site and fragment, since the last exchange, where a checkpoint has to remember it. */
  readonly tokens?: Record<string, number[]>;
  /** Whether all sites have done the same. If not, `advance` sees to it, interrupted or not. */
  readonly isEven: boolean;
  /** How far each site has come, where sites go their own way. */
  readonly progress?: Progress<CommittedStep>;
  /** Workers of which nobody knows what they hold, once the generation was ended by a failure. */
  readonly unsure?: readonly string[];
  /** Takes every site from step `from` to `until`, or to an earlier one once `interrupted` says so. */
  advance(from: number, until: number, interrupted: () => boolean): Promise<void>;
}

/** Mean over the tokens that the replicas' heads saw; NaN when a sum was not finite. */
export function meanLoss(
  replicas: readonly Replica[],
  answers: ReadonlyMap<string, { readonly lossSum?: number | null | undefined; readonly tokens: number }>,
): { loss: number; tokens: number } {
  const heads = replicas.map(({ stages }) => answers.get(stages.at(-1)!.worker)!);
  const tokens = heads.reduce((sum, head) => sum + head.tokens, 0);
  return { loss: heads.reduce((sum, head) => sum + (head.lossSum ?? NaN), 0) / tokens, tokens };
}
