// tributary serve: the server, until it is interrupted.
import type { CAC } from "cac";
import { startServer, type RunningServer } from "../app.ts";
import { EXIT } from "../errors.ts";
import { interrupted } from "../interrupt.ts";
import { parsePort } from "../options.ts";
import { lanAddresses } from "../tls.ts";

interface Options {
  port: string;
  data: string;
  host?: string;
  tls?: boolean;
}

export function register(cli: CAC): void {
  cli
    .command("serve", "Serve the pages, plan and commit runs")
    .option("--port <port>", "Port for everything", { default: "8787" })
    .option("--data <folder>", "Folder for runs, checkpoints and tokens", { default: "tributary-data" })
    .option("--host <address>", "Address to listen on; localhost without --tls, all addresses with it")
    .option("--tls", "Serve https with a self-signed certificate, for GPU machines in the local network")
    .action(serve);
}

async function serve({ port, data, host, tls = false }: Options): Promise<number> {
  const stop = interrupted();
  const server = await startServer({
    port: parsePort(port),
    data,
    tls,
    goesOn: true,
    host: host ?? (tls ? "0.0.0.0" : "localhost"),
  });
  console.log(describe(server));
  const { run } = server.coordinator.snapshot();
  if (run) console.log(`run ${run.id} goes on from step ${run.step}, once there are workers`);
  await stop;
  await server.close();
  return EXIT.interrupted;
}

function describe({ url, tokens, certificate }: RunningServer): string {
  const lines = [
    `coordinator page: ${url}/#token=${tokens.owner}`,
    `worker page:      ${url}/worker#token=${tokens.worker}`,
  ];
  if (certificate) {
    const { port, protocol } = new URL(url);
    for (const address of lanAddresses()) {
      lines.push(`                  ${protocol}//${address}:${port}/worker#token=${tokens.worker}`);
    }
    lines.push(
      "The certificate is self-signed: open the page on the GPU machine and accept the warning, or start Chromium with",
      `  --ignore-certificate-errors-spki-list=${certificate.spki}`,
    );
  }
  return lines.join("\n");
}
