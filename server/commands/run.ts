// tributary run: starts a run on a server and follows it.
import type { CAC } from "cac";
import { WebSocket } from "ws";
import { z } from "zod";
import {
  MAX_VIEWER_BYTES,
  parseControl,
  PROTOCOL_VERSION,
  ViewerMessage,
  type ClientMessage,
} from "../../core/protocol/control.ts";
import type { RunEvent } from "../../core/protocol/events.ts";
import { callServer } from "../client.ts";
import { EXIT, UserError } from "../errors.ts";
import { interrupted } from "../interrupt.ts";
import { parseServer, type ServerAddress } from "../options.ts";
import { EventPrinter, exitCodeOf } from "../print-events.ts";
import { readConfig } from "../read-config.ts";

interface Options {
  server?: string;
  token?: string;
  json?: boolean;
}

export function register(cli: CAC): void {
  cli
    .command("run <config>", "Start a run on a server and follow it")
    .option(
      "--server <url>",
      "Address of the server; the coordinator link that `serve` printed holds the token too",
    )
    .option("--token <token>", "The owner token that `serve` printed")
    .option("--json", "Print one JSON object a line")
    .action(run);
}

async function run(path: string, { json = false, ...options }: Options): Promise<number> {
  const stop = interrupted();
  const config = await readConfig(path);
  const address = parseServer(options);
  const { run: id } = await callServer(address, "POST", "/api/runs", z.object({ run: z.string() }), config);
  const following = follow(address, id, new EventPrinter(json));
  const leaving = stop.then(() => {
    console.error(
      `tributary: run ${id} goes on; stop it with: tributary stop ${id} --server ${address.origin}`,
    );
    return EXIT.interrupted;
  });
  return Promise.race([following, leaving]);
}

/** Prints the run's events until it ends; resolves with the exit code. */
function follow({ origin, token }: ServerAddress, run: string, printer: EventPrinter): Promise<number> {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(`${origin.replace(/^http/, "ws")}/control`);
    const watch: ClientMessage = { type: "watch", protocol: PROTOCOL_VERSION, token };
    socket.on("open", () => socket.send(JSON.stringify(watch)));
    socket.on("message", (data) => {
      const parsed = parseControl(ViewerMessage, String(data), MAX_VIEWER_BYTES);
      if (!parsed.ok) return reject(new UserError(`the server speaks another version: ${parsed.reason}`));
      const { message } = parsed;
      if (message.type === "refused") return reject(new UserError(message.reason));
      for (const event of eventsOf(message, run)) {
        printer.print(event);
        const code = exitCodeOf(event);
        if (code !== null) resolve(code);
      }
    });
    socket.on("error", (error) => reject(new UserError(`${origin}: ${error.message}`, EXIT.failed)));
    socket.on("close", () =>
      reject(new UserError(`${origin} closed the connection; the run may go on`, EXIT.failed)),
    );
  });
}

/** Events of `run` in a message: those before this connection are in its history. */
function eventsOf(message: ViewerMessage, run: string): readonly RunEvent[] {
  if (message.type === "event") return message.run === run ? [message.event] : [];
  if (message.type === "history") return message.history.run === run ? message.history.events : [];
  return [];
}
