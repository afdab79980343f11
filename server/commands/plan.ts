// tributary plan: what a run would look like on a cluster, and the GPU memory each worker would need, before
// anything starts. Not here yet: predicted speed.
import type { CAC } from "cac";
import { describePlan } from "../../core/plan/describe.ts";
import { Cluster, workersOf } from "../../core/plan/cluster.ts";
import { stageBytes, stageSpecOf } from "../../core/plan/memory.ts";
import { makePlan } from "../../core/plan/partition.ts";
import type { RunConfig } from "../../core/model/config.ts";
import type { Plan } from "../../core/plan/plan.ts";
import { formatBytes } from "../../core/format.ts";
import { readCluster, readConfig } from "../read-config.ts";

export function register(cli: CAC): void {
  cli
    .command("plan <cluster> <config>", "Show who would hold what of a run, and the GPU memory that takes")
    .option("--json", "Print one JSON object")
    .action(plan);
}

async function plan(clusterPath: string, configPath: string, { json = false }: { json?: boolean }) {
  const cluster: Cluster = await readCluster(clusterPath);
  const config = await readConfig(configPath);
  const chosen = makePlan(config, workersOf(cluster));
  const memory = memoryOf(config, chosen);
  if (json) {
    console.log(JSON.stringify({ ...chosen, memory }));
    return;
  }
  for (const line of describePlan(config, chosen)) console.log(line);
  for (const [worker, bytes] of Object.entries(memory)) {
    console.log(`${worker} needs ${formatBytes(bytes)} of GPU memory`);
  }
  if (config.weights === "f16") {
    console.log("that is with weights in f16: a GPU without shader-f16 has no copy of them, and needs less");
  }
}

/** Bytes of GPU memory by worker. */
function memoryOf(config: RunConfig, { replicas }: Plan): Record<string, number> {
  const entries = replicas.flatMap((replica) =>
    replica.stages.map(({ worker }, i) => [worker, stageBytes(stageSpecOf(config, replica, i))] as const),
  );
  return Object.fromEntries(entries);
}
