// The benchmark on Dawn for Node (the `webgpu` package), in this process.
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { build } from "vite";
import { requireBrowser } from "../../server/browser.ts";
import { EXIT, UserError } from "../../server/errors.ts";
import { softwareVulkan } from "../../server/software-vulkan.ts";
import type { Job } from "./job.ts";
import { offerGpu } from "./machine.ts";
import type { Report } from "./result.ts";

const BUILT = "dist/bench-node";

/** The working directory is the repository's root. */
export async function runOnDawn(job: Job, say: (line: string) => void): Promise<Report> {
  // Bundled, because only vite can import shaders.
  await build({
    configFile: false,
    logLevel: "error",
    build: {
      outDir: BUILT,
      emptyOutDir: true,
      ssr: "test/bench/run-job.ts",
      target: "node20",
    },
    ssr: { noExternal: true },
  });
  // A machine with a Vulkan driver of its own names it in VK_DRIVER_FILES.
  process.env.VK_DRIVER_FILES ??= softwareVulkan(requireBrowser()) ?? "";
  process.env.XDG_RUNTIME_DIR ??= tmpdir();
  offerGpu(await import("webgpu"));
  const bundle = pathToFileURL(resolve(join(BUILT, "run-job.js"))).href;
  const { runJob } = (await import(bundle)) as typeof import("./run-job.ts");
  return runJob(job, say).catch((error: Error) => {
    throw new UserError(`${error.name}: ${error.message}`, EXIT.noGpu);
  });
}
