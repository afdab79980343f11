// The coordinator page's control socket: watches the server, and connects again when it is lost.
import { z } from "zod";
import {
  MAX_VIEWER_BYTES,
  parseControl,
  PROTOCOL_VERSION,
  ViewerMessage,
  type ClientMessage,
} from "../../core/protocol/control.ts";
import { callApi } from "./api.ts";
import { appendEvent } from "./run-log.ts";
import { connection, events, snapshot, token, workerToken } from "./state.ts";

const FIRST_RETRY_SECONDS = 1;
const LAST_RETRY_SECONDS = 16;

let retrySeconds = FIRST_RETRY_SECONDS;

/** Watches the server with the token there is, until it refuses. */
export function connect(): void {
  const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/control`);
  socket.addEventListener("open", () => {
    const watch: ClientMessage = { type: "watch", protocol: PROTOCOL_VERSION, token: token.value };
    socket.send(JSON.stringify(watch));
  });
  socket.addEventListener("message", ({ data }: MessageEvent<string>) => take(data));
  socket.addEventListener("close", () => {
    if (connection.value.kind === "refused") return;
    connection.value = { kind: "lost", retrySeconds };
    setTimeout(connect, retrySeconds * 1000);
    retrySeconds = Math.min(LAST_RETRY_SECONDS, retrySeconds * 2);
  });
}

function take(data: string): void {
  const parsed = parseControl(ViewerMessage, data, MAX_VIEWER_BYTES);
  if (!parsed.ok) {
    const reason = `it sent what this page cannot read (${parsed.reason}): reload the page`;
    connection.value = { kind: "refused", reason };
    return;
  }
  const { message } = parsed;
  if (message.type === "refused") {
    if (message.fatal) connection.value = { kind: "refused", reason: message.reason };
  } else if (message.type === "history") {
    connection.value = { kind: "open" };
    retrySeconds = FIRST_RETRY_SECONDS;
    events.value = message.history.events;
    void readWorkerToken();
  } else if (message.type === "snapshot") {
    snapshot.value = message.snapshot;
  } else {
    events.value = appendEvent(events.value, message.event);
  }
}

async function readWorkerToken(): Promise<void> {
  const answer = await callApi("GET", "/api/status");
  const json: unknown = answer.ok ? await answer.value.json().catch(() => null) : null;
  const status = z.looseObject({ workerToken: z.string() }).safeParse(json);
  if (status.success) workerToken.value = status.data.workerToken;
}
