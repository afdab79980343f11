// What is due between two steps, and after which: a validation, a sample, a checkpoint.
// Not here: doing it (server/between-steps.ts).
import type { RunConfig } from "../model/config.ts";

export type Due = "validate" | "sample" | "save";

type Intervals = Pick<RunConfig, "validEvery" | "sampleEvery" | "checkpointEvery" | "steps">;

const everyOf = ({ validEvery, sampleEvery, checkpointEvery }: Intervals): [Due, number][] => [
  ["validate", validEvery],
  ["sample", sampleEvery],
  ["save", checkpointEvery],
];

/** In order. After the last step all of it is. */
export function dueAfter(config: Intervals, step: number): Due[] {
  const due = everyOf(config).filter(([, every]) => step % every === 0 || step === config.steps);
  return due.map(([what]) => what);
}

/** The first step after `step` after which something is due. */
export function nextDue(config: Intervals, step: number): number {
  const next = everyOf(config).map(([, every]) => (Math.floor(step / every) + 1) * every);
  return Math.min(config.steps, ...next);
}
