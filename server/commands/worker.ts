// tributary worker: headless workers for a site, until they are interrupted.
import type { CAC } from "cac";
import { EXIT, UserError } from "../errors.ts";
import { openWorkers } from "../headless.ts";
import { interrupted } from "../interrupt.ts";
import { parseBrowser, parsePace, parseServer, parseSite, parseWorkerCount } from "../options.ts";

interface Options {
  server?: string;
  token?: string;
  site?: string;
  count: string;
  browser: string;
  pace?: string;
}

export function register(cli: CAC): void {
  cli
    .command("worker", "Open headless workers on this machine")
    .option("--server <url>", "Address of the server; a link that `serve` printed holds the token too")
    .option("--site <name>", "Site to join: workers of one site have fast links between them")
    .option("--token <token>", "The worker token that `serve` printed")
    .option("--count <n>", "How many, a browser each", { default: "1" })
    .option("--browser <name>", "chromium or firefox", { default: "chromium" })
    .option("--pace <gflops>", "Be as slow as a GPU of so many GFLOP/s: compute, then sleep")
    .action(work);
}

async function work({ site, count, browser, pace, ...address }: Options): Promise<number> {
  const stop = interrupted();
  if (!site) throw new UserError("give the site to join with --site");
  const { origin, token } = parseServer(address);
  const workers = await openWorkers({
    server: origin,
    site: parseSite(site),
    token,
    count: parseWorkerCount("--count", count),
    browser: parseBrowser("--browser", browser),
    pace: pace === undefined ? null : parsePace("--pace", pace),
  });
  console.log(`${count} worker${Number(count) === 1 ? "" : "s"} joined site ${site}; Ctrl-C to leave`);
  const reason = await Promise.race([stop.then(() => "stop"), workers.ended.then(() => "ended")]);
  await workers.close();
  if (reason === "stop") return EXIT.interrupted;
  console.error("tributary: all workers' browsers ended");
  return EXIT.failed;
}
