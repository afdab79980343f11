// What docs/benchmarks/paced-*.json hold, and how they are shown.
import { z } from "zod";
import { duration } from "../markdown.ts";
import { median } from "../statistics.ts";

const rate = z.number().min(0);

const measured = {
  runtime: z.string(),
  date: z.iso.date(),
  processor: z.string(),
  cluster: z.string(),
  /** GFLOP/s of its slowest worker. */
  unit: z.number().positive(),
};

/** A cluster as it was planned. Tokens/s. */
export const PacedResult = z.strictObject({
  command: z.literal("paced"),
  ...measured,
  /** Of all its workers, each alone. */
  alone: rate,
  reached: rate,
  predicted: rate,
  evenly: rate,
  plans: z.number().int(),
  /** Seconds of each step but the first. */
  steps: z.array(z.number()).min(1),
});
export type PacedResult = z.infer<typeof PacedResult>;

/** A cluster of which a worker was slowed in the middle of a run. Tokens/s. */
export const SlowedResult = z.strictObject({
  command: z.literal("slowed"),
  ...measured,
  before: rate,
  /** Of its workers at their new paces. */
  bound: rate,
  /** Of each step since. */
  after: z.array(rate),
  /** Until five steps from there on reach 90 % of the bound; null: never. */
  stepsUntil: z.number().int().nullable(),
  losses: z.array(z.number()),
  retried: z.number().int(),
});
export type SlowedResult = z.infer<typeof SlowedResult>;

export function renderPaced(clusters: readonly PacedResult[], slowed: readonly SlowedResult[]): string {
  return [
    "## paced: unequal devices",
    'Workers that really compute and then sleep to the time of a device of their pace, over real data channels, on SwiftShader; strategy `sync`, of which the first five steps are not counted. "Alone" is the sum of what workers of these paces reach by themselves; "evenly" the same cluster with equal shares, 10 steps. Predicted from the speeds that the plan was made of and the links as they were measured.',
    ...(clusters.length > 0 ? [tableOf(clusters)] : []),
    ...slowed.map(renderSlowed),
  ].join("\n\n");
}

const tableOf = (clusters: readonly PacedResult[]): string =>
  [
    "| cluster | alone, tokens/s | reached | share | predicted | off by | evenly, share | a step | steps | plans | slowest, GFLOP/s | date |",
    "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ...clusters.map(renderCluster),
  ].join("\n");

function renderCluster(result: PacedResult): string {
  const { cluster, alone, reached, predicted, evenly, plans, steps, unit, date } = result;
  const percent = (part: number) => `${(100 * part).toFixed(1)} %`;
  const cells = [
    cluster,
    alone.toFixed(1),
    reached.toFixed(1),
    percent(reached / alone),
    predicted.toFixed(1),
    percent(reached / predicted - 1),
    percent(evenly / alone),
    `${duration(median(steps))} (${duration(Math.min(...steps))}–${duration(Math.max(...steps))})`,
    steps.length,
    plans,
    unit,
    date,
  ];
  return `| ${cells.join(" | ")} |`;
}

function renderSlowed(result: SlowedResult): string {
  const { cluster, before, bound, after, stepsUntil, retried, date } = result;
  const until =
    stepsUntil === null
      ? "never reached 90 % of that"
      : `reached 90 % of that from step ${stepsUntil} after the change on`;
  return `**The fastest worker slowed to a quarter** in the middle of a run (${cluster}, ${date}): ${before.toFixed(1)} tokens/s before; with the new paces its workers could reach ${bound.toFixed(1)}; the run ${until}, and ${median(after.slice(-10)).toFixed(1)} in its last ten steps. Steps done again: ${retried}.`;
}
