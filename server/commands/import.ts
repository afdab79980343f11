// tributary import: a Hugging Face directory as a checkpoint to start from.
import { basename, resolve } from "node:path";
import type { CAC } from "cac";
import { Blobs } from "../blobs.ts";
import { Checkpoints } from "../checkpoints.ts";

export function register(cli: CAC): void {
  cli
    .command("import <directory>", "Take in a Hugging Face Llama directory as a checkpoint to start from")
    .option("--data <folder>", "Folder of the server that will use it", { default: "tributary-data" })
    .action(importDirectory);
}

async function importDirectory(directory: string, { data }: { data: string }): Promise<void> {
  const checkpoints = new Checkpoints(data, new Blobs(data));
  const { id, model } = await checkpoints.importDirectory(directory, basename(resolve(directory)));
  console.log(`checkpoint ${id}: name it as "init" in a configuration with this model:`);
  console.log(JSON.stringify(model));
}
