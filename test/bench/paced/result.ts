// What docs/benchmarks/paced.json holds, and how it is shown.
import { z } from "zod";
import { duration } from "../markdown.ts";
import { median } from "../statistics.ts";

const rate = z.number().min(0);

export const PacedResult = z.strictObject({
  command: z.literal("paced"),
  runtime: z.string(),
  date: z.iso.date(),
  processor: z.string(),
  steps: z.number().int().positive(),
  /** Tokens/s. */
  rows: z.array(
    z.strictObject({
      cluster: z.string(),
      /** Of all its workers, each alone. */
      alone: rate,
      reached: rate,
      predicted: rate,
      evenly: rate,
      plans: z.number().int(),
      /** Seconds of each step but the first. */
      steps: z.array(z.number()).min(1),
    }),
  ),
  slowed: z.strictObject({
    cluster: z.string(),
    before: rate,
    /** Of its workers at their new paces. */
    bound: rate,
    /** Of each step since. */
    after: z.array(rate),
    /** Until five steps from there on reach 90 % of the bound; null: never. */
    stepsUntil: z.number().int().nullable(),
    losses: z.array(z.number()),
    retried: z.number().int(),
  }),
});
export type PacedResult = z.infer<typeof PacedResult>;

export function renderPacedResult({ runtime, date, processor, steps, rows, slowed }: PacedResult): string {
  const percent = (part: number) => `${(100 * part).toFixed(1)} %`;
  const lines = rows.map(({ cluster, alone, reached, predicted, evenly, plans, steps: seconds }) => {
    const range = `${duration(median(seconds))} (${duration(Math.min(...seconds))}–${duration(Math.max(...seconds))})`;
    const cells = [
      cluster,
      alone.toFixed(1),
      reached.toFixed(1),
      percent(reached / alone),
      predicted.toFixed(1),
      percent(reached / predicted - 1),
      percent(evenly / alone),
      range,
      plans,
    ];
    return `| ${cells.join(" | ")} |`;
  });
  const { before, bound, after, stepsUntil, retried } = slowed;
  const until =
    stepsUntil === null
      ? "never reached 90 % of that"
      : `reached 90 % of that from step ${stepsUntil} after the change on`;
  return [
    "## paced: unequal devices",
    `${date}; ${processor}; ${runtime}, SwiftShader. Workers that really compute and then sleep to the time of a device of their pace, over real data channels; strategy \`sync\`, ${steps} steps, of which the first five are not counted. "Alone" is the sum of what workers of these paces reach by themselves; "evenly" the same cluster with equal shares, 10 steps.`,
    [
      "| cluster | alone, tokens/s | reached | share | predicted | off by | evenly, share | a step | plans |",
      "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
      ...lines,
    ].join("\n"),
    `**The fastest worker slowed to a quarter** in the middle of a run (${slowed.cluster}): ${before.toFixed(1)} tokens/s before; with the new paces its workers could reach ${bound.toFixed(1)}; the run ${until}, and ${median(after.slice(-10)).toFixed(1)} in its last ten steps. Steps done again: ${retried}.`,
  ].join("\n\n");
}
