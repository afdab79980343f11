// The benchmark in the folder that `npm run bench -- pack` makes: on Dawn, without anything installed. Prints the
// result's JSON on stdout, progress and the table on stderr.
import { tmpdir } from "node:os";
import { fileURLToPath } from "node:url";
import { createRequire } from "node:module";
import { UserError } from "../../server/errors.ts";
import { describeMachine, offerGpu, type Dawn } from "./machine.ts";
import { renderResult } from "./markdown.ts";
import { parseBenchOptions } from "./options.ts";
import type { Result } from "./result.ts";
import { runJob } from "./run-job.ts";

/** Set where it is packed. */
declare const PACKED_VERSIONS: Result["packages"];
declare const PACKED_DAWN: string;

try {
  const { job } = parseBenchOptions(["--node", ...process.argv.slice(2)]);
  process.env.XDG_RUNTIME_DIR ??= tmpdir();
  offerGpu(createRequire(import.meta.url)(fileURLToPath(new URL("dawn.node", import.meta.url))) as Dawn);
  const report = await runJob(job, (line) => console.error(line));
  const result: Result = {
    command: job.command,
    runtime: `Dawn for Node ${PACKED_DAWN}`,
    ...describeMachine(),
    packages: Object.fromEntries(job.contenders.map((name) => [name, PACKED_VERSIONS[name]])),
    ...report,
  };
  console.error(`\n${renderResult(result)}`);
  console.log(JSON.stringify(result));
  process.exit(0);
} catch (error) {
  console.error(`bench: ${error instanceof Error ? error.message : String(error)}`);
  process.exit(error instanceof UserError ? error.exitCode : 1);
}
