// The relay: passes binary messages between two workers' pages that the plan links and that cannot reach each other,
// unread. A worker shows the key it was given when it joined, and is heard while its control socket is open. The
// server holds no more of a page's bytes than the credit every page keeps to.
// Not here: what the messages are (web/link), who is to be linked with whom (core/plan/plan.ts).
import { randomBytes, randomUUID } from "node:crypto";
import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { WebSocket, WebSocketServer } from "ws";
import { parseControl } from "../core/protocol/control.ts";
import {
  MAX_RELAY_BYTES,
  RELAY_CREDIT_BYTES,
  RELAY_PATH,
  RelayGreeting,
  type RelayWord,
} from "../core/protocol/relay.ts";
import { watchLiveness } from "./liveness.ts";

const REFUSED = 4001;
const ENDED = 4002;
/** A page that says nothing by then is not one of ours. */
const GREETING_MS = 10_000;

/** What a worker is told of a call. */
export interface RingMessage {
  readonly from: string;
  readonly link: string;
  readonly call: string;
}

interface Member {
  readonly worker: string;
  readonly ring: (message: RingMessage) => void;
  readonly sockets: Set<WebSocket>;
}

interface WaitingCall {
  readonly to: string;
  readonly socket: WebSocket;
}

export class Relay {
  readonly #server = new WebSocketServer({ noServer: true, maxPayload: MAX_RELAY_BYTES });
  readonly #byKey = new Map<string, Member>();
  readonly #byWorker = new Map<string, Member>();
  readonly #waiting = new Map<string, WaitingCall>();
  readonly #linked: (worker: string, other: string) => boolean;

  /** `linked`: whether two workers have a link to keep up now. */
  constructor(linked: (worker: string, other: string) => boolean) {
    this.#linked = linked;
  }

  /** Lets a worker take part; `ring` tells it of calls. Returns its key. */
  admit(worker: string, ring: (message: RingMessage) => void): string {
    const key = randomBytes(16).toString("hex");
    const member = { worker, ring, sockets: new Set<WebSocket>() };
    this.#byKey.set(key, member);
    this.#byWorker.set(worker, member);
    return key;
  }

  /** Ends what the worker has here; its key is void. */
  dismiss(worker: string): void {
    const member = this.#byWorker.get(worker);
    this.#byWorker.delete(worker);
    for (const [key, other] of this.#byKey) if (other === member) this.#byKey.delete(key);
    for (const socket of member?.sockets ?? []) socket.close(ENDED, "the worker left");
  }

  /** Takes the upgrade request if its path is the relay's; else returns false and leaves it alone. */
  handleUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer): boolean {
    if (request.url?.split("?", 1)[0] !== RELAY_PATH) return false;
    this.#server.handleUpgrade(request, socket, head, (client) => this.#greet(client));
    return true;
  }

  close(): void {
    for (const client of this.#server.clients) client.terminate();
    this.#server.close();
  }

  #greet(client: WebSocket): void {
    watchLiveness(client);
    client.on("error", () => {}); // a message over the limit; `close` follows
    const late = setTimeout(() => client.terminate(), GREETING_MS);
    client.once("close", () => clearTimeout(late));
    client.once("message", (data) => {
      clearTimeout(late);
      const parsed = parseControl(RelayGreeting, String(data));
      if (!parsed.ok) return client.close(REFUSED, "no greeting of the relay");
      const member = this.#byKey.get(parsed.message.key);
      if (!member) return client.close(REFUSED, "wrong relay key: reload the page");
      member.sockets.add(client);
      client.once("close", () => member.sockets.delete(client));
      if (parsed.message.type === "call") this.#call(client, member.worker, parsed.message);
      else this.#answer(client, member.worker, parsed.message.call);
    });
  }

  #call(socket: WebSocket, from: string, { to, link }: { to: string; link: string }): void {
    const other = this.#byWorker.get(to);
    if (!other) return socket.close(ENDED, "its page has left the server");
    if (!this.#linked(from, to)) return socket.close(ENDED, "no run links these workers now");
    const call = randomUUID();
    this.#waiting.set(call, { to, socket });
    socket.once("close", () => this.#waiting.delete(call));
    other.ring({ from, link, call });
  }

  #answer(socket: WebSocket, worker: string, name: string): void {
    const call = this.#waiting.get(name);
    if (call?.to !== worker) return socket.close(ENDED, "the call is over");
    this.#waiting.delete(name);
    pass(call.socket, socket);
    pass(socket, call.socket);
    say(call.socket, { type: "open" });
    say(socket, { type: "open" });
  }
}

/** Passes on what `from` sends, and tells it how much has left this server. */
function pass(from: WebSocket, to: WebSocket): void {
  let held = 0;
  from.on("message", (data, isBinary) => {
    const { length } = data as Buffer;
    held += length;
    if (!isBinary || length === 0 || held > RELAY_CREDIT_BYTES) {
      return from.close(REFUSED, "the page does not keep to the relay's rules");
    }
    to.send(data, { binary: true }, (error) => {
      held -= length;
      if (!error) say(from, { type: "passed", bytes: length });
    });
  });
  from.once("close", () => to.close(ENDED, "the other page's connection closed"));
}

function say(client: WebSocket, word: RelayWord): void {
  if (client.readyState === WebSocket.OPEN) client.send(JSON.stringify(word));
}
