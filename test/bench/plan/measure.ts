// `npm run bench -- plan`: how long the planner takes for clusters of mixed workers.
import { z } from "zod";
import { measuredOf, workersOf } from "../../../core/plan/cluster.ts";
import { planRun } from "../../../core/plan/planner.ts";
import { describeMachine } from "../machine.ts";
import { duration } from "../markdown.ts";
import { median } from "../statistics.ts";
import { mixedCluster, runFor, SIZES } from "./clusters.ts";

export const PlanResult = z.strictObject({
  command: z.literal("plan"),
  runtime: z.string(),
  date: z.iso.date(),
  processor: z.string(),
  rows: z.array(
    z.strictObject({
      workers: z.number().int().positive(),
      sites: z.number().int().positive(),
      /** Of the processor, all its cores together; a sample each, each of another cluster. */
      seconds: z.array(z.number().min(0)).min(1),
      /** Of the clock, which other programs have their part in. */
      clock: z.array(z.number().min(0)).min(1),
      /** Workers with a place in the first cluster's plan, and its replicas. */
      placed: z.number().int().positive(),
      replicas: z.number().int().positive(),
    }),
  ),
});
export type PlanResult = z.infer<typeof PlanResult>;

export function measurePlanner(rounds: number, say: (line: string) => void): PlanResult {
  const rows = SIZES.map(({ workers, sites }) => {
    const samples = Array.from({ length: rounds }, (_, seed) => {
      const cluster = mixedCluster(workers, sites, seed + 1);
      const [config, ids, measured] = [runFor(workers), workersOf(cluster), measuredOf(cluster)];
      const [before, began] = [process.cpuUsage(), performance.now()];
      const { plan } = planRun(config, ids, measured);
      const { user, system } = process.cpuUsage(before);
      const sample = { plan, seconds: (user + system) / 1e6, clock: (performance.now() - began) / 1000 };
      say(`${workers} workers: ${duration(sample.seconds)}`);
      return sample;
    });
    const { replicas } = samples[0]!.plan;
    return {
      workers,
      sites,
      seconds: samples.map(({ seconds }) => seconds),
      clock: samples.map(({ clock }) => clock),
      placed: replicas.reduce((sum, { stages }) => sum + stages.length, 0),
      replicas: replicas.length,
    };
  });
  const { date, processor } = describeMachine();
  return { command: "plan", runtime: `Node ${process.versions.node}`, date, processor, rows };
}

export function renderPlanResult({ runtime, date, processor, rows }: PlanResult): string {
  const lines = rows.map(({ workers, sites, seconds, clock, placed, replicas }) => {
    const range = `${duration(Math.min(...seconds))}–${duration(Math.max(...seconds))}`;
    const cells = [
      workers.toLocaleString("en"),
      sites,
      duration(median(seconds)),
      range,
      duration(median(clock)),
      seconds.length,
      placed,
      replicas,
    ];
    return `| ${cells.join(" | ")} |`;
  });
  return [
    `## plan: ${runtime}`,
    `${date}; ${processor}. One plan for a model of the shape of SmolLM2-135M and workers of mixed speed and memory, drawn from a seed (\`test/bench/plan/clusters.ts\`), with its prediction. Seconds of the processor, a cluster a sample; by the clock it took longer where other programs ran beside.`,
    [
      "| workers | sites | median | min–max | median by the clock | samples | placed | replicas |",
      "| --- | --- | --- | --- | --- | --- | --- | --- |",
      ...lines,
    ].join("\n"),
  ].join("\n\n");
}
