// One optimizer step of some replicas that share their gradients: all of a run's, or a site's.
import type { RunConfig } from "../../core/model/config.ts";
import { learningRate } from "../../core/model/learning-rate.ts";
import type { Replica } from "../../core/plan/plan.ts";
import { RunImpossible, type Cohort } from "../cohort.ts";
import { meanLoss, type CommittedStep } from "./strategy.ts";

/**
 * Has the replicas compute and reduce a step's gradient, and commits it.
 * @throws RunImpossible when the loss or the gradient is not finite: the optimizer is not applied then; WorkerLost
 */
export async function innerStep(
  config: RunConfig,
  replicas: readonly Replica[],
  cohort: Cohort,
  step: number,
): Promise<CommittedStep> {
  const { optimizer, steps } = config;
  const workers = replicas.flatMap(({ stages }) => stages.map(({ worker }) => worker));
  const { generation } = cohort;
  const ready = await cohort.ask({ type: "step", generation, step }, "ready", workers);
  const { loss, tokens } = meanLoss(replicas, ready);
  // After the reduction every replica holds the same gradient: the first one's norm is that of all.
  const squaredNorm = replicas[0]!.stages.reduce(
    (sum, { worker }) => sum + (ready.get(worker)!.squaredNorm ?? NaN),
    0,
  );
  const gradNorm = Math.sqrt(squaredNorm) / tokens;
  if (!Number.isFinite(loss) || !Number.isFinite(gradNorm)) {
    throw new RunImpossible(
      `step ${step}: the ${Number.isFinite(loss) ? "gradient" : "loss"} is not finite; the optimizer was not applied. Lower optimizer.lr or optimizer.clip${orWiden(config)} and start from the latest checkpoint`,
    );
  }
  const scale = Math.min(1, optimizer.clip / gradNorm) / tokens;
  const lr = learningRate(optimizer, step, steps);
  cohort.tell({ type: "commit", generation, step, scale, lr }, workers);
  return { step, loss, gradNorm, tokens };
}

/** What travels as f16 is infinite past 65,504, however small the learning rate. */
function orWiden({ activations, siteGradients, strategy }: RunConfig): string {
  const settings = {
    activations,
    siteGradients,
    ...(strategy.kind === "sync" && { "strategy.gradients": strategy.gradients }),
  };
  const halves = Object.entries(settings).filter(([, codec]) => codec === "f16");
  return halves.length > 0 ? `, or set ${halves.map(([name]) => name).join(" and ")} to f32,` : "";
}
