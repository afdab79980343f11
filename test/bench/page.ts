// The benchmark in a browser.
import { runInPage } from "./in-page.ts";
import { Job } from "./job.ts";
import { runJob } from "./run-job.ts";

await runInPage(Job, runJob);
