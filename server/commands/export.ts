// tributary export: a checkpoint as a Hugging Face directory.
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { CAC } from "cac";
import { Blobs } from "../blobs.ts";
import { Checkpoints, EXPORTED_FILES } from "../checkpoints.ts";
import { UserError } from "../errors.ts";

interface Options {
  out?: string;
  data: string;
}

export function register(cli: CAC): void {
  cli
    .command("export <run|checkpoint>", "Write a checkpoint as a Hugging Face directory")
    .option("--out <folder>", "Directory to write")
    .option("--data <folder>", "Folder where `serve` or `local` kept it", { default: "tributary-data" })
    .action(exportDirectory);
}

async function exportDirectory(name: string, { out, data }: Options): Promise<void> {
  if (!out) throw new UserError("give the directory to write with --out");
  const checkpoints = new Checkpoints(data, new Blobs(data));
  const checkpoint = await checkpoints.find(name);
  await mkdir(out, { recursive: true });
  for (const file of EXPORTED_FILES) {
    const content = await checkpoints.exportFile(checkpoint, file);
    if (content) await writeFile(join(out, file), content);
  }
  console.log(`${out}: checkpoint ${checkpoint.id}, step ${checkpoint.step}`);
}
