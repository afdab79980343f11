// The control socket: workers and viewers connect here. Checks every message, keeps track of who is alive, relays
// connection set-up between workers, and hands the rest to the coordinator.
import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { WebSocket, WebSocketServer } from "ws";
import { z } from "zod";
import {
  ClientMessage,
  controlText,
  MAX_CONTROL_BYTES,
  parseControl,
  PROTOCOL_VERSION,
  type ViewerMessage,
  type WorkerMessage,
} from "../core/protocol/control.ts";
import type { Coordinator } from "./coordinator-port.ts";
import { UserError } from "./errors.ts";
import { watchLiveness } from "./liveness.ts";
import { log } from "./log.ts";
import type { Metrics } from "./metrics.ts";
import type { Relay } from "./relay.ts";
import type { Tokens } from "./tokens.ts";

const SNAPSHOT_MS = 250;

const IceServers = z.array(
  z.strictObject({ urls: z.string(), username: z.string().optional(), credential: z.string().optional() }),
);
type IceServers = z.infer<typeof IceServers>;

export interface ControlParts {
  readonly coordinator: Coordinator;
  readonly tokens: Tokens;
  readonly metrics: Metrics;
  readonly relay: Relay;
  readonly brokerKey: string;
  readonly iceServers: IceServers;
}

/** ICE servers from TRIBUTARY_ICE_SERVERS, a JSON list as in RTCConfiguration; none without it. @throws UserError */
export function iceServersFromEnvironment(): IceServers {
  const text = process.env.TRIBUTARY_ICE_SERVERS;
  if (!text) return [];
  try {
    return IceServers.parse(JSON.parse(text));
  } catch {
    throw new UserError(
      'TRIBUTARY_ICE_SERVERS is not a JSON list such as [{"urls":"stun:stun.example.org"}]',
    );
  }
}

const CLIENT_TYPES = new Set<unknown>(ClientMessage.options.map(({ shape }) => shape.type.value));

type JoinMessage = Extract<ClientMessage, { type: "join" }>;

export class ControlSocket {
  readonly #parts: ControlParts;
  readonly #server = new WebSocketServer({ noServer: true, maxPayload: MAX_CONTROL_BYTES });
  readonly #workers = new Map<string, WebSocket>();
  readonly #viewers = new Set<WebSocket>();
  readonly #joined = new Map<string, number>();
  readonly #unsubscribe: () => void;
  #snapshotDue: NodeJS.Timeout | null = null;

  constructor(parts: ControlParts) {
    this.#parts = parts;
    this.#unsubscribe = parts.coordinator.subscribe((update) => {
      if (update.type === "event") this.#tellViewers(update);
      else this.#snapshotDue ??= setTimeout(() => this.#tellSnapshot(), SNAPSHOT_MS);
    });
  }

  handleUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    this.#server.handleUpgrade(request, socket, head, (client) => this.#greet(client));
  }

  close(): void {
    this.#unsubscribe();
    if (this.#snapshotDue) clearTimeout(this.#snapshotDue);
    for (const client of this.#server.clients) client.terminate();
    this.#server.close();
  }

  #greet(client: WebSocket): void {
    watchLiveness(client);
    // A message over the limit, or damage on the wire, ends the connection; `close` follows.
    client.on("error", () => this.#parts.metrics.refused.inc({ type: "unreadable" }));
    client.once("message", (data) => {
      const text = String(data);
      const parsed = parseControl(ClientMessage, text);
      if (!parsed.ok) return this.#turnAway(client, text, parsed.reason);
      const { message } = parsed;
      if (message.type !== "join" && message.type !== "watch") {
        return this.#turnAway(client, text, "the first message must be 'join' or 'watch'");
      }
      if (message.protocol !== PROTOCOL_VERSION) {
        const reason = `this server speaks protocol ${PROTOCOL_VERSION}, the page ${message.protocol}: reload the page`;
        return this.#turnAway(client, text, reason);
      }
      const role = this.#parts.tokens.roleOf(message.token);
      if (message.type === "watch") {
        if (role !== "owner") {
          return this.#turnAway(
            client,
            text,
            "wrong owner token: open the coordinator link that 'tributary serve' printed",
          );
        }
        return this.#addViewer(client);
      }
      if (!role) {
        return this.#turnAway(
          client,
          text,
          "wrong join token: open the worker link that 'tributary serve' printed",
        );
      }
      return this.#addWorker(client, message);
    });
  }

  #addViewer(client: WebSocket): void {
    this.#viewers.add(client);
    client.on("message", (data) => this.#refuse(client, String(data), "who watches only listens"));
    client.on("close", () => this.#viewers.delete(client));
    say(client, { type: "history", history: this.#parts.coordinator.history() });
    say(client, { type: "snapshot", snapshot: this.#parts.coordinator.snapshot() });
  }

  #addWorker(client: WebSocket, { site, name, gpu }: JoinMessage): void {
    const { coordinator, iceServers, brokerKey, relay } = this.#parts;
    const number = (this.#joined.get(site) ?? 0) + 1;
    this.#joined.set(site, number);
    const id = `${site}-${number}`;
    this.#workers.set(id, client);
    client.on("message", (data) => this.#fromWorker(id, client, String(data)));
    client.on("close", (_code, reason) => this.#dismiss(id, String(reason) || "its connection closed"));
    const send = (message: WorkerMessage) => {
      if (client.readyState === WebSocket.OPEN) client.send(controlText(message));
    };
    const relayKey = relay.admit(id, (call) => send({ type: "ring", ...call }));
    send({ type: "joined", worker: id, iceServers, brokerKey, relayKey });
    const dismiss = (reason: string) => {
      log.warn({ worker: id, reason }, "a worker was dismissed");
      send({ type: "dismissed", reason });
      client.close(4002, "dismissed");
      this.#dismiss(id, `was dismissed: ${reason}`);
    };
    coordinator.join({ id, site, name, gpu, send, dismiss });
  }

  #fromWorker(id: string, client: WebSocket, data: string): void {
    // One that was dropped may have more on its way.
    if (!this.#workers.has(id)) return;
    const parsed = parseControl(ClientMessage, data);
    if (!parsed.ok) return this.#drop(id, client, data, parsed.reason);
    const { message } = parsed;
    if (message.type === "join" || message.type === "watch") {
      return this.#drop(id, client, data, `'${message.type}' came twice on one connection`);
    }
    if (message.type === "signal") {
      const other = this.#workers.get(message.to);
      // A worker that has just left cannot be told; its going is news of its own.
      if (other) say(other, { type: "signal", from: id, data: message.data });
      return;
    }
    this.#parts.coordinator.message(id, message);
  }

  /** What it said cannot be used, and a run may wait for just that: it goes on without this worker. */
  #drop(id: string, client: WebSocket, data: string, reason: string): void {
    log.warn({ worker: id, type: claimedType(data), reason }, "a worker was dropped for what it sent");
    this.#turnAway(client, data, reason);
    this.#dismiss(id, `was dropped for its message '${claimedType(data)}': ${reason}`);
  }

  #dismiss(id: string, reason: string): void {
    if (!this.#workers.delete(id)) return;
    this.#parts.relay.dismiss(id);
    this.#parts.coordinator.leave(id, reason);
  }

  #refuse(client: WebSocket, data: string, reason: string): void {
    this.#parts.metrics.refused.inc({ type: claimedType(data) });
    say(client, { type: "refused", reason, fatal: false });
  }

  #turnAway(client: WebSocket, data: string, reason: string): void {
    this.#parts.metrics.refused.inc({ type: claimedType(data) });
    say(client, { type: "refused", reason, fatal: true });
    client.close(4001, "refused");
  }

  #tellViewers(message: ViewerMessage): void {
    for (const viewer of this.#viewers) say(viewer, message);
  }

  #tellSnapshot(): void {
    this.#snapshotDue = null;
    if (this.#viewers.size > 0)
      this.#tellViewers({ type: "snapshot", snapshot: this.#parts.coordinator.snapshot() });
  }
}

/** What either kind of client may be told. */
function say(client: WebSocket, message: ViewerMessage | Extract<WorkerMessage, { type: "signal" }>): void {
  if (client.readyState === WebSocket.OPEN) client.send(JSON.stringify(message));
}

/** The type a refused message gives itself, if it is one of ours: a peer must not make labels as it likes. */
function claimedType(data: string): string {
  try {
    const { type } = Object(JSON.parse(data)) as { type?: unknown };
    return CLIENT_TYPES.has(type) ? String(type) : "unknown";
  } catch {
    return "unreadable";
  }
}
