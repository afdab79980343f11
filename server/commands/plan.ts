// tributary plan: what a run would look like on a cluster, how fast it would be and why, and the GPU memory each worker
// would need, before anything starts.
import { writeFile } from "node:fs/promises";
import type { CAC } from "cac";
import { describePlan } from "../../core/plan/describe.ts";
import { describeLeftOut, describePrediction } from "../../core/plan/describe-prediction.ts";
import { leftOutOf } from "../../core/plan/left-out.ts";
import { measuredOf, workersOf } from "../../core/plan/cluster.ts";
import { timelineSvg, timelineText } from "../../core/plan/draw-timeline.ts";
import { stageBytes, stageSpecOf } from "../../core/plan/memory.ts";
import { PlanImpossible } from "../../core/plan/plan-impossible.ts";
import { planRun, type Planned } from "../../core/plan/planner.ts";
import { withoutZeroBubble } from "../../core/plan/choose-order.ts";
import { predict, timelineOf } from "../../core/plan/predict.ts";
import { endOf } from "../../core/plan/timeline.ts";
import { leadReplicas, positionOf, type Plan, type Replica } from "../../core/plan/plan.ts";
import type { RunConfig } from "../../core/model/config.ts";
import { formatBytes, formatSeconds } from "../../core/format.ts";
import { UserError } from "../errors.ts";
import { readCluster, readConfig } from "../read-config.ts";

/** Of a timeline as text. */
const COLUMNS = 96;
/** Microbatches that are drawn as text: of more, columns would have several operations. */
const MOST_DRAWN = 12;
/** And as SVG. */
const MOST_BARS = 48;
/** Of more workers than this only the largest need of memory is printed. */
const MOST_LINES = 24;

export function register(cli: CAC): void {
  cli
    .command(
      "plan <cluster> <config>",
      "Show who would hold what of a run, how fast it would be, and the GPU memory",
    )
    .option("--json", "Print one JSON object")
    .option("--svg <file>", "Draw a step's timeline into this file")
    .action(plan);
}

interface Options {
  readonly json?: boolean;
  readonly svg?: string;
}

async function plan(clusterPath: string, configPath: string, { json = false, svg }: Options) {
  const cluster = await readCluster(clusterPath);
  const config = await readConfig(configPath);
  const planned = planOrExplain(() => planRun(config, workersOf(cluster), measuredOf(cluster)));
  if (svg !== undefined) await drawSvg(svg, planned);
  if (json) console.log(JSON.stringify(asObject(planned)));
  else for (const line of inWords(planned)) console.log(line);
}

function planOrExplain(make: () => Planned): Planned {
  try {
    return make();
  } catch (error) {
    throw error instanceof PlanImpossible ? new UserError(error.message) : error;
  }
}

function asObject(planned: Planned) {
  const { config, plan, prediction } = planned;
  const slowest = prediction && slowestReplica(plan, prediction.busiest);
  return {
    ...plan,
    memory: memoryOf(config, plan),
    leftOut: leftOutOf(planned),
    prediction,
    oneForwardOneBackward: prediction && { stepSeconds: secondsWithoutZeroBubble(planned) },
    timeline: slowest && timelineOf(planned, slowest),
  };
}

function inWords(planned: Planned): string[] {
  const { config, plan, prediction } = planned;
  // Spare workers are told of below, with the reasons.
  const lines = describePlan(config, { ...plan, spare: [] });
  lines.push(...describeLeftOut(leftOutOf(planned)));
  const memory = Object.entries(memoryOf(config, plan));
  if (memory.length <= MOST_LINES) {
    lines.push(...memory.map(([worker, bytes]) => `${worker} needs ${formatBytes(bytes)} of GPU memory`));
  } else {
    const [worker, bytes] = memory.reduce((a, b) => (b[1] > a[1] ? b : a));
    lines.push(`no worker needs more GPU memory than ${worker}: ${formatBytes(bytes)}`);
  }
  if (config.precision === "f16") {
    lines.push(
      "that is in f16: a GPU without shader-f16 does its stage in f32, with larger activations and no copy of the weights",
    );
  }
  if (!prediction) {
    return [...lines, "no prediction: give at least one kind of worker its gflops in the cluster file"];
  }
  lines.push("", ...describePrediction(prediction, secondsWithoutZeroBubble(planned)));
  lines.push("", ...drawText(planned, slowestReplica(plan, prediction.busiest)));
  return lines;
}

const secondsWithoutZeroBubble = (planned: Planned): number =>
  predict({ ...planned, plan: withoutZeroBubble(planned.plan) })!.stepSeconds;

/** The pipeline that the others wait for. */
const slowestReplica = (plan: Plan, busiest: string): Replica =>
  plan.replicas[positionOf(plan, busiest)!.replica]!;

function drawText(planned: Planned, replica: Replica): string[] {
  const drawn = firstOf(replica, MOST_DRAWN);
  const timeline = timelineOf(planned, drawn);
  const order = replica.zeroBubble ? "ZB-H1, W the gradients of weights" : "1F1B";
  const seconds = endOf(timeline);
  const names = replica.stages.map(({ worker }) => worker);
  const widest = Math.max(...names.map(({ length }) => length));
  return [
    `the slowest pipeline, ${order}, ${drawnOf(drawn, replica)}, ${formatSeconds(seconds)}; F forward, B backward, . idle:`,
    ...timelineText(timeline, seconds, COLUMNS).map((line, i) => `${names[i]!.padEnd(widest)} ${line}`),
  ];
}

const firstOf = (replica: Replica, count: number): Replica => ({
  ...replica,
  microbatches: replica.microbatches.slice(0, count),
});

function drawnOf({ microbatches: drawn }: Replica, { microbatches: all }: Replica): string {
  return drawn.length < all.length
    ? `as if it had ${drawn.length} of its ${all.length} microbatches`
    : "a step";
}

/** Each site's first pipeline. */
async function drawSvg(file: string, planned: Planned): Promise<void> {
  if (!planned.prediction)
    throw new UserError("--svg needs speeds: give at least one kind of worker its gflops");
  const pipelines = leadReplicas(planned.plan).map((replica) => {
    const drawn = firstOf(replica, MOST_BARS);
    return {
      title: `site ${replica.site}, its first pipeline, ${drawnOf(drawn, replica)}`,
      names: replica.stages.map(({ worker }) => worker),
      timeline: timelineOf(planned, drawn),
    };
  });
  const seconds = Math.max(...pipelines.map(({ timeline }) => endOf(timeline)));
  await writeFile(file, timelineSvg(pipelines, seconds)).catch((error: Error) => {
    throw new UserError(`'${file}' cannot be written (${error.message}): give another file with --svg`);
  });
}

/** Bytes of GPU memory by worker. */
function memoryOf(config: RunConfig, { replicas }: Plan): Record<string, number> {
  const entries = replicas.flatMap((replica) =>
    replica.stages.map(({ worker }, i) => [worker, stageBytes(stageSpecOf(config, replica, i))] as const),
  );
  return Object.fromEntries(entries);
}
