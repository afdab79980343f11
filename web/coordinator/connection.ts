// The coordinator page's connection to the server: the control socket as a viewer, and the HTTP API.
import { z } from "zod";
import {
  MAX_VIEWER_BYTES,
  parseControl,
  PROTOCOL_VERSION,
  ViewerMessage,
  type ClientMessage,
} from "../../core/protocol/control.ts";
import { connection, events, snapshot, token, workerToken } from "./state.ts";

const FIRST_RETRY_MS = 500;
const LAST_RETRY_MS = 10_000;

let retryMs = FIRST_RETRY_MS;

/** Connects with the token there is; tries again by itself when the connection is lost. */
export function connect(): void {
  if (!token.value) {
    connection.value = "no token";
    return;
  }
  const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/control`);
  socket.addEventListener("open", () => {
    const watch: ClientMessage = { type: "watch", protocol: PROTOCOL_VERSION, token: token.value };
    socket.send(JSON.stringify(watch));
  });
  socket.addEventListener("message", ({ data }: MessageEvent<string>) => take(data));
  socket.addEventListener("close", () => {
    if (typeof connection.value === "object") return;
    connection.value = "lost";
    setTimeout(connect, retryMs);
    retryMs = Math.min(LAST_RETRY_MS, retryMs * 2);
  });
}

function take(data: string): void {
  const parsed = parseControl(ViewerMessage, data, MAX_VIEWER_BYTES);
  if (!parsed.ok) {
    console.error(parsed.reason);
    return;
  }
  const { message } = parsed;
  if (message.type === "refused") {
    connection.value = { refused: message.reason };
  } else if (message.type === "history") {
    connection.value = "open";
    retryMs = FIRST_RETRY_MS;
    events.value = message.history.events;
    void readWorkerToken();
  } else if (message.type === "snapshot") {
    snapshot.value = message.snapshot;
  } else {
    const fresh = message.event.event === "started";
    events.value = fresh ? [message.event] : [...events.value, message.event];
  }
}

async function readWorkerToken(): Promise<void> {
  const answer = await callApi("GET", "/api/status");
  const status = z.looseObject({ workerToken: z.string() }).safeParse(answer.ok ? answer.value : null);
  if (status.success) workerToken.value = status.data.workerToken;
}

const Failure = z.looseObject({ error: z.string(), issues: z.array(z.string()).optional() });

export type Answer = { ok: true; value: unknown } | { ok: false; problems: string[] };

/** Calls the server; what it refuses comes back as lines to show. */
export async function callApi(method: "GET" | "POST", path: string, body?: unknown): Promise<Answer> {
  try {
    const response = await fetch(path, {
      method,
      headers: { Authorization: `Bearer ${token.value}` },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    const value: unknown = await response.json();
    if (response.ok) return { ok: true, value };
    const failure = Failure.safeParse(value);
    const problems = failure.success
      ? (failure.data.issues ?? [failure.data.error])
      : [`status ${response.status}`];
    return { ok: false, problems };
  } catch {
    return { ok: false, problems: ["the server does not answer"] };
  }
}

/** Fetches a file of the run's latest checkpoint and lets the browser save it. */
export async function download(run: string, name: string): Promise<void> {
  const response = await fetch(`/api/runs/${run}/files/${name}`, {
    headers: { Authorization: `Bearer ${token.value}` },
  });
  if (!response.ok) return;
  const url = URL.createObjectURL(await response.blob());
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  URL.revokeObjectURL(url);
}
