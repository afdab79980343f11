// The benchmark in a browser: asks the server for the job, and posts its progress and the report to it. The same way
// in every browser, whether or not it can be driven from outside.
import { Job } from "./job.ts";
import { runJob } from "./run-job.ts";

/** Posts take turns, so that lines arrive in order and before the report. */
let posted: Promise<unknown> = Promise.resolve();
function post(path: string, body: string): Promise<unknown> {
  posted = posted.then(() => fetch(path, { method: "POST", body }));
  return posted;
}

try {
  const job = Job.parse(await (await fetch("/job")).json());
  const report = await runJob(job, (line) => void post("/progress", line));
  await post("/report", JSON.stringify(report));
} catch (error) {
  await post("/problem", error instanceof Error ? `${error.name}: ${error.message}` : String(error));
}
