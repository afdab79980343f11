// Whether a run under way is worth the pause that another plan takes: its stages' states have to move.
// Not here: making plans (planner.ts), moving states (server/run.ts).
import type { Plan } from "./plan.ts";
import type { Planned } from "./planner.ts";
import { predict } from "./predict.ts";
import { savedByShares } from "./wide-shares.ts";

/** Why another plan is thought of: workers came or went, or were found faster or slower than they were. */
export type Occasion = "members" | "speeds";

export interface Circumstances {
  readonly occasion: Occasion;
  /** Of the run. */
  readonly stepsLeft: number;
}

/** A new plan's step may take this share of the present one's. Speeds vary by themselves; members seldom do. */
const WORTH_IT: Readonly<Record<Occasion, number>> = { members: 0.97, speeds: 0.75 };

/** What a change takes at the least: stages are made anew, and GPUs compile their kernels. */
const PAUSE_SECONDS = 2;

/** Whether to go on with `next`, by what it was made of. Without a speed, whenever members came or went. */
export function isWorthAPause(current: Plan, next: Planned, { occasion, stepsLeft }: Circumstances): boolean {
  if (JSON.stringify(next.plan.replicas) === JSON.stringify(current.replicas)) {
    return occasion === "speeds" && sharesAreWorthIt(current, next, stepsLeft);
  }
  const there = new Set([...next.sites.values()].flat());
  const isWhole = current.replicas.every(({ stages }) => stages.every(({ worker }) => there.has(worker)));
  if (!isWhole) return true;
  const now = predict({ ...next, plan: current });
  if (!now || !next.prediction) return occasion === "members";
  const saved = now.stepSeconds - next.prediction.stepSeconds;
  if (saved < (1 - WORTH_IT[occasion]) * now.stepSeconds) return false;
  return occasion === "members" || saved * stepsLeft > PAUSE_SECONDS;
}

/** Lines between sites are measured once a run is under way: only then do sites share wide sums by them. */
function sharesAreWorthIt(
  current: Plan,
  { plan, measured, prediction }: Planned,
  stepsLeft: number,
): boolean {
  if (!prediction) return false;
  const { stepSeconds, parts } = prediction;
  const saved = savedByShares(current, plan, measured) * parts.exchange;
  // What a line is measured at varies; that it is known at all is news, as a new member is.
  const worthIt = WORTH_IT[current.wideShares ? "speeds" : "members"];
  return saved >= (1 - worthIt) * stepSeconds && saved * stepsLeft > PAUSE_SECONDS;
}
