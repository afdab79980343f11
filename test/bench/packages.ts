// Which versions are compared.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { ContenderName } from "./names.ts";

const FOLDERS: Record<ContenderName, string> = {
  ours: ".",
  jax: "node_modules/@jax-js/jax",
  tfjs: "node_modules/@tensorflow/tfjs",
  "webgpu-llm": "node_modules/webgpu-llm",
};

export async function packageVersion(folder: string): Promise<string> {
  const { version } = JSON.parse(await readFile(join(folder, "package.json"), "utf8")) as { version: string };
  return version;
}

export async function contenderVersions(names: readonly ContenderName[]) {
  const versions = names.map(async (name) => [name, await packageVersion(FOLDERS[name])] as const);
  return Object.fromEntries(await Promise.all(versions)) as Partial<Record<ContenderName, string>>;
}
