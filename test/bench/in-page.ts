// A page that measures: asks the server for its job, and posts its progress and the report to it. The same way in every
// browser, whether or not it can be driven from outside.
import type { z } from "zod";

export async function runInPage<J>(
  schema: z.ZodType<J>,
  run: (job: J, say: (line: string) => void) => Promise<unknown>,
): Promise<void> {
  // Posts take turns, so that lines arrive in order and before the report.
  let posted: Promise<unknown> = Promise.resolve();
  const post = (path: string, body: string): Promise<unknown> => {
    posted = posted.then(() => fetch(path, { method: "POST", body }));
    return posted;
  };
  try {
    const job = schema.parse(await (await fetch("/job")).json());
    const report = await run(job, (line) => void post("/progress", line));
    await post("/report", JSON.stringify(report));
  } catch (error) {
    await post("/problem", error instanceof Error ? `${error.name}: ${error.message}` : String(error));
  }
}
