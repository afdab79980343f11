// Reads what users write in JSON files: a run's configuration, a cluster.
import { readFile } from "node:fs/promises";
import type { z } from "zod";
import { describeIssues, RunConfig } from "../core/model/config.ts";
import { Cluster } from "../core/plan/cluster.ts";
import { UserError } from "./errors.ts";

/** @throws UserError with one line that names the file and every problem in it */
export const readConfig = (path: string): Promise<RunConfig> => readJson(path, "configuration", RunConfig);

/** @throws UserError as readConfig does */
export const readCluster = (path: string): Promise<Cluster> => readJson(path, "cluster", Cluster);

async function readJson<S extends z.ZodType>(path: string, what: string, schema: S): Promise<z.infer<S>> {
  const text = await readFile(path, "utf8").catch(() => {
    throw new UserError(`there is no ${what} file '${path}'`);
  });
  const parsed = schema.safeParse(parseJson(path, text));
  if (parsed.success) return parsed.data;
  throw new UserError(`${path}: ${describeIssues(parsed.error).join("; ")}`);
}

function parseJson(path: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new UserError(`${path} is not JSON: ${(error as Error).message}`);
  }
}
