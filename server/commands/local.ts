// tributary local: server, workers and one run on this machine; then all ends.
import type { CAC } from "cac";
import { startServer } from "../app.ts";
import { Blobs } from "../blobs.ts";
import { requireKind } from "../browsers.ts";
import { loadCorpus } from "../corpus.ts";
import { EXIT } from "../errors.ts";
import { openWorkers, type HeadlessWorkers } from "../headless.ts";
import { interrupted } from "../interrupt.ts";
import { parsePort, parseSites } from "../options.ts";
import { EventPrinter, exitCodeOf } from "../print-events.ts";
import { readConfig } from "../read-config.ts";

interface Options {
  sites?: string;
  port: string;
  data: string;
  json?: boolean;
}

export function register(cli: CAC): void {
  cli
    .command("local <config>", "Run a configuration on headless workers of this machine")
    .option(
      "--sites <list>",
      "NAME:COUNT[:BROWSER[:PACE]],..., such as a:2,b:1:chromium,b:1:firefox:0.5; PACE as in 'worker'",
    )
    .option("--port <port>", "Port of the server; 0 takes any free one", { default: "0" })
    .option("--data <folder>", "Folder for runs and checkpoints", { default: "tributary-data" })
    .option("--json", "Print one JSON object a line")
    .action(local);
}

async function local(path: string, { sites: list, port, data, json = false }: Options): Promise<number> {
  const stop = interrupted();
  const config = await readConfig(path);
  const sites = parseSites(list);
  for (const { browser } of sites) requireKind(browser);
  const server = await startServer({ port: parsePort(port), host: "localhost", data, tls: false });
  const opened: HeadlessWorkers[] = [];
  try {
    // What is wrong with the text is said before browsers are opened for it.
    await loadCorpus(config, new Blobs(data));
    if (!json) console.log("opening workers");
    for (const crew of sites) {
      opened.push(await openWorkers({ server: server.url, token: server.tokens.worker, ...crew }));
    }
    const printer = new EventPrinter(json);
    const url = `${server.url}/#token=${server.tokens.owner}`;
    const ended = new Promise<number>((resolve) => {
      server.coordinator.subscribe((update) => {
        if (update.type !== "event") return;
        const { event } = update;
        printer.print(event.event === "started" ? { ...event, url } : event);
        const code = exitCodeOf(event);
        if (code !== null) resolve(code);
      });
    });
    const run = await server.coordinator.start(config);
    return await Promise.race([ended, stop.then(() => interruptRun(() => server.coordinator.stop(run)))]);
  } finally {
    await Promise.all(opened.map((workers) => workers.close()));
    await server.close();
  }
}

/** The run's state is saved before the workers go. */
async function interruptRun(stopRun: () => Promise<void>): Promise<number> {
  await stopRun();
  return EXIT.interrupted;
}
