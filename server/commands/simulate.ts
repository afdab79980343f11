// tributary simulate: what would become of a run in hours on a cluster whose workers come and go and whose lines vary.
import { writeFile } from "node:fs/promises";
import type { CAC } from "cac";
import { measuredOf } from "../../core/plan/cluster.ts";
import { PlanImpossible } from "../../core/plan/plan-impossible.ts";
import { boundsOf, describeSimulation } from "../../core/simulate/describe.ts";
import { hoursSvg } from "../../core/simulate/draw-hours.ts";
import { simulate, type Simulation } from "../../core/simulate/simulate.ts";
import { UserError } from "../errors.ts";
import { parseCount } from "../options.ts";
import { progressOf } from "../progress.ts";
import { readCluster, readConfig } from "../read-config.ts";

/** A year. */
const MOST_HOURS = 8784;
const MOST_SEED = 0xffffffff;

export function register(cli: CAC): void {
  cli
    .command(
      "simulate <cluster> <config>",
      "Play a run through for hours: workers that come and go, lines that vary, what comes of it",
    )
    .option("--hours <n>", "Hours to simulate, at most: a run may be done before", { default: "24" })
    .option("--seed <n>", "Of who comes and goes when, and of lines; the same seed gives the same result", {
      default: "1",
    })
    .option("--json", "Print one JSON object a line: the hours, then the result")
    .option("--svg <file>", "Draw the throughput by the hour into this file")
    .action(simulateRun);
}

interface Options {
  readonly hours: string;
  readonly seed: string;
  readonly json?: boolean;
  readonly svg?: string;
}

async function simulateRun(clusterPath: string, configPath: string, options: Options): Promise<void> {
  const hours = parseCount("--hours", options.hours, 1, MOST_HOURS);
  const seed = parseCount("--seed", options.seed, 0, MOST_SEED);
  const cluster = await readCluster(clusterPath);
  const config = await readConfig(configPath);
  if (measuredOf(cluster).workers.size === 0) {
    throw new UserError(
      `${clusterPath}: give at least one kind of worker its gflops, to say how fast a step is`,
    );
  }
  const { passed, end } = progressOf("simulating");
  const simulation = simulateOrExplain(() => simulate(cluster, config, { hours, seed, onProgress: passed }));
  end();
  if (options.svg !== undefined) await draw(options.svg, simulation, config.name);
  for (const line of options.json ? asObjects(simulation) : describeSimulation(simulation)) {
    console.log(typeof line === "string" ? line : JSON.stringify(line));
  }
}

function simulateOrExplain(run: () => Simulation): Simulation {
  try {
    return run();
  } catch (error) {
    throw error instanceof PlanImpossible ? new UserError(error.message) : error;
  }
}

function asObjects(simulation: Simulation): object[] {
  const { hours, ...result } = simulation;
  const bounds = boundsOf(simulation);
  // One of each pipeline would be long.
  const prediction = result.prediction && { ...result.prediction, replicas: undefined };
  return [
    ...hours.map((hour, i) => ({ event: "hour", hour: i + 1, ...hour })),
    { event: "simulated", ...result, prediction, bounds },
  ];
}

async function draw(file: string, simulation: Simulation, name: string): Promise<void> {
  await writeFile(file, hoursSvg(simulation, `${name}, simulated`)).catch((error: Error) => {
    throw new UserError(`'${file}' cannot be written (${error.message}): give another file with --svg`);
  });
}
