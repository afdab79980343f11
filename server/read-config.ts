// Reads a run's configuration from a file.
import { readFile } from "node:fs/promises";
import { describeIssues, RunConfig } from "../core/model/config.ts";
import { UserError } from "./errors.ts";

/** @throws UserError with one line that names the file and every problem in it */
export async function readConfig(path: string): Promise<RunConfig> {
  const text = await readFile(path, "utf8").catch(() => {
    throw new UserError(`there is no configuration file '${path}'`);
  });
  const parsed = RunConfig.safeParse(parseJson(path, text));
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
