// Which pipelines of a plan go by ZB-H1: those that are predicted to gain by it, where memory takes what it keeps.
// Not here: the orders (schedule.ts, zero-bubble.ts), who is in a pipeline (planner.ts).
import { candidatesOf } from "./measured.ts";
import type { Plan, Replica } from "./plan.ts";
import { replicaSeconds, type PlannedRun } from "./predict.ts";
import { StageMemory } from "./stage-memory.ts";

/** Of 1F1B's time: predictions are not so exact that less would be worth the memory. */
const WORTH_IT = 0.99;

/** The plan, `zeroBubble` set where it is of use. Without any speed, and with `recompute`, nowhere. */
export function withZeroBubble(run: PlannedRun): Plan {
  const { config, plan, sites, measured } = run;
  const candidates = candidatesOf(sites, measured);
  if (!candidates || config.recompute) return plan;
  const room = new Map([...candidates.values()].flat().map(({ id, speed }) => [id, speed.memory]));
  const memory = new StageMemory(config);
  const fits = ({ stages }: Replica) =>
    stages.every(
      ({ worker, first, last }, stage) =>
        memory.bytes(stage, stages.length, last - first, true) <= room.get(worker)!,
    );
  const able = plan.replicas.map((replica): Replica =>
    replica.stages.length > 1 && fits(replica) ? { ...replica, zeroBubble: true } : replica,
  );
  const [before, after] = [plan.replicas, able].map((replicas) => replicaSeconds(run, replicas));
  const replicas = plan.replicas.map((replica, i) =>
    after![i]! <= WORTH_IT * before![i]! ? able[i]! : replica,
  );
  return { ...plan, replicas };
}

/** The same plan with every pipeline in 1F1B. */
export const withoutZeroBubble = (plan: Plan): Plan => ({
  ...plan,
  replicas: plan.replicas.map(({ site, stages, microbatches }) => ({ site, stages, microbatches })),
});
