// A prediction in words, for `tributary plan` and for the events of a run.
import { formatCount, formatSeconds } from "../format.ts";
import { describePlan } from "./describe.ts";
import { leftOutOf, type LeftOut } from "./left-out.ts";
import type { Planned } from "./planner.ts";
import type { Prediction, StepParts } from "./predict.ts";

const PARTS: Readonly<Record<keyof StepParts, string>> = {
  stage: "the busiest stage at work",
  fillAndDrain: "filling and draining its pipeline, and uneven stages",
  activations: "activations on the way, as far as no work hides them",
  siteSum: "summing gradients over the site's replicas",
  exchange: "exchanging with other sites, as far as no work hides it",
};

/** More workers than this are not named one by one. */
const MOST_NAMES = 4;

/** A smaller share of a step is an error of sums. */
const ROUNDING = 1e-6;

/** A plan in force: one line a replica, who has no place and why, and how fast it ought to be. */
export function describePlanned(planned: Planned): string[] {
  const { config, plan, prediction } = planned;
  const lines = [...describePlan(config, { ...plan, spare: [] }), ...describeLeftOut(leftOutOf(planned))];
  if (!prediction) return lines;
  const { tokensPerSecond, ratio, bound } = prediction;
  const speed = `${formatCount(tokensPerSecond)} tokens/s, ${percent(ratio)} of what its workers could do alone`;
  return [...lines, `predicted: ${speed}; bound by ${bound}`];
}

/** @param without seconds of a step with every pipeline in 1F1B */
export function describePrediction(prediction: Prediction, without: number): string[] {
  const { stepSeconds, tokensPerSecond, parts, bound, upperBound, ratio, hidden } = prediction;
  const lines = (Object.keys(PARTS) as (keyof StepParts)[])
    .filter((part) => parts[part] > ROUNDING * stepSeconds)
    .map((part) => `  ${formatSeconds(parts[part])} ${PARTS[part]}`);
  if (hidden > 0)
    lines.push(`  (${formatSeconds(hidden)} of exchanges with other sites are hidden behind work)`);
  const gain = without / stepSeconds - 1;
  return [
    `predicted: ${formatSeconds(stepSeconds)} a step, ${formatCount(tokensPerSecond)} tokens/s`,
    ...lines,
    `bound by ${bound}`,
    `upper bound: ${formatCount(upperBound)} tokens/s, each worker training alone, memory aside; the plan reaches ${percent(ratio)} of it`,
    ...(gain > 0
      ? [`zero-bubble gains ${percent(gain)}: with 1F1B a step would take ${formatSeconds(without)}`]
      : []),
  ];
}

/** One line a reason. */
export function describeLeftOut(leftOut: readonly LeftOut[]): string[] {
  const byReason = new Map<string, string[]>();
  for (const { worker, why } of leftOut) {
    const workers = byReason.get(why);
    if (workers) workers.push(worker);
    else byReason.set(why, [worker]);
  }
  return [...byReason].map(([why, workers]) => {
    const who =
      workers.length > MOST_NAMES ? `${workers.length} workers, ${workers[0]} the first` : workers.join(", ");
    return `left out: ${who}: ${why}`;
  });
}

const percent = (part: number): string => `${(100 * part).toFixed(1)} %`;
