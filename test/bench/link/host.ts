// The server of the benchmark of links, a process of its own so that it can run in a network namespace: the page, our
// broker and relay, and the workers' signals. Prints its port and its keys as one JSON line.
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { build, type Rolldown } from "vite";
import { type WebSocket, WebSocketServer } from "ws";
import { createBroker } from "../../../server/broker.ts";
import { Relay } from "../../../server/relay.ts";
import { SIDES } from "./sides.ts";

const output = (await build({
  configFile: false,
  logLevel: "error",
  build: {
    write: false,
    target: "es2023",
    rolldownOptions: {
      input: new URL("page.ts", import.meta.url).pathname,
      output: { format: "iife" },
    },
  },
})) as Rolldown.RolldownOutput;
const script = output.output[0].code;

const key = "bench";
const broker = createBroker({ key });
const relay = new Relay(() => true);
const signals = new WebSocketServer({ noServer: true });
const workers = new Map<string, WebSocket>();
const keys = Object.fromEntries(
  SIDES.map((side) => [side, relay.admit(side, (ring) => workers.get(side)?.send(JSON.stringify({ ring })))]),
);

const server = createServer((request, response) => {
  const isScript = request.url === "/page.js";
  response.setHeader("content-type", isScript ? "text/javascript" : "text/html");
  response.end(isScript ? script : `<!doctype html><script src="/page.js"></script>`);
});
server.on("upgrade", (request, socket, head) => {
  if ([broker, relay].some((part) => part.handleUpgrade(request, socket, head))) return;
  signals.handleUpgrade(request, socket, head, (client) => {
    const from = new URL(request.url!, "http://host").searchParams.get("worker")!;
    workers.set(from, client);
    client.on("message", (message) => {
      const { to, data } = JSON.parse(String(message)) as { to: string; data: string };
      workers.get(to)?.send(JSON.stringify({ from, data }));
    });
  });
});
server.listen(0, "0.0.0.0", () => {
  console.log(JSON.stringify({ port: (server.address() as AddressInfo).port, broker: key, relay: keys }));
});
