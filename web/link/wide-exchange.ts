// How pages of different sites meet: each registers with the PeerJS broker of our own server under a name made
// from its worker id. No other server is contacted: host and `iceServers` are always given, since the defaults
// of PeerJS are a public broker, STUN and TURN.
// Not here: an open connection (wide-carrier.ts), who is to be connected with whom (switchboard.ts).
import { type DataConnection, Peer } from "peerjs";
import { z } from "zod";
import type { Exchange, ExchangeOptions } from "./carrier.ts";
import { WideCarrier } from "./wide-carrier.ts";

/** Pause before trying the broker again. */
const AGAIN_MS = 1000;
/** By then the broker has answered, or will not. */
const STALLED_MS = 5000;

/** Kept of a worker's calls until they are answered: one for each lane, and a few from links before. */
const MAX_WAITING_CALLS = 16;

const Metadata = z.object({ link: z.uuid() });

export interface WideExchangeOptions extends ExchangeOptions {
  /** This worker's id. */
  readonly self: string;
  readonly brokerKey: string;
}

export class WideExchange implements Exchange {
  readonly #options: WideExchangeOptions;
  #peer: Peer;
  #trouble: string | undefined;
  #closed = false;
  /** Calls that have not opened, with what they are for: some wait for the broker. */
  readonly #calling = new Map<WideCarrier, { readonly worker: string; readonly link: string }>();
  /** Calls that were not answered yet, by worker, in the order they came. */
  readonly #waiting = new Map<string, DataConnection[]>();

  constructor(options: WideExchangeOptions) {
    this.#options = options;
    this.#peer = this.#register();
  }

  get trouble(): string | undefined {
    return this.#trouble;
  }

  call(worker: string, link: string): WideCarrier {
    const carrier = new WideCarrier();
    this.#calling.set(carrier, { worker, link });
    if (this.#peer.open) this.#dial(carrier);
    return carrier;
  }

  called(worker: string): string | undefined {
    const [connection] = this.#waiting.get(worker) ?? [];
    return connection && linkOf(connection);
  }

  answer(worker: string): WideCarrier | undefined {
    const connection = this.#waiting.get(worker)?.shift();
    if (!connection) return undefined;
    const carrier = new WideCarrier();
    carrier.use(connection);
    return carrier;
  }

  close(): void {
    this.#closed = true;
    this.#peer.destroy();
  }

  #register(): Peer {
    const secure = location.protocol === "https:";
    const peer = new Peer(peerIdOf(this.#options.self), {
      host: location.hostname,
      port: Number(location.port) || (secure ? 443 : 80),
      path: "/",
      secure,
      key: this.#options.brokerKey,
      config: { iceServers: this.#options.iceServers },
    });
    peer.on("open", () => {
      this.#trouble = undefined;
      for (const carrier of this.#calling.keys()) this.#dial(carrier);
    });
    peer.on("connection", (connection) => this.#hold(connection));
    peer.on("error", ({ type, message }) => {
      if (type === "peer-unavailable") this.#failCallNamedIn(message);
      else if (type !== "webrtc") this.#trouble = `this server's broker: ${message || type}`;
    });
    peer.on("disconnected", () => this.#onDisconnected(peer));
    peer.on("close", () => this.#later(AGAIN_MS, () => (this.#peer = this.#register())));
    return peer;
  }

  /** Open connections outlive the broker, calls that it was to carry do not. */
  #onDisconnected(peer: Peer): void {
    for (const carrier of this.#calling.keys()) {
      if (!carrier.open && !carrier.undialled) carrier.fail("lost this server's broker");
    }
    this.#later(AGAIN_MS, () => {
      if (!peer.destroyed) peer.reconnect();
    });
    // A broker that has not noticed the loss takes the page back without saying so: leave properly, come again.
    this.#later(STALLED_MS, () => {
      if (!peer.open && !peer.disconnected) peer.disconnect();
    });
  }

  #later(delayMs: number, act: () => void): void {
    setTimeout(() => {
      if (!this.#closed) act();
    }, delayMs);
  }

  #dial(carrier: WideCarrier): void {
    const call = this.#calling.get(carrier)!;
    if (carrier.closed) this.#calling.delete(carrier);
    if (!carrier.undialled) return;
    const connection = this.#peer.connect(peerIdOf(call.worker), {
      serialization: "raw",
      reliable: true,
      metadata: { link: call.link },
    });
    const forget = (): void => void this.#calling.delete(carrier);
    connection.on("open", forget);
    connection.on("close", forget);
    carrier.use(connection);
  }

  /** Keeps a call until it is answered, unless it ends first. */
  #hold(connection: DataConnection): void {
    const worker = workerOf(connection.peer);
    const waiting = this.#waiting.get(worker) ?? [];
    if (linkOf(connection) === undefined || waiting.length === MAX_WAITING_CALLS) return connection.close();
    this.#waiting.set(worker, waiting);
    waiting.push(connection);
    const forget = (): void => {
      const place = waiting.indexOf(connection);
      if (place >= 0) waiting.splice(place, 1);
    };
    connection.on("close", forget);
    connection.on("error", forget);
    this.#options.onCall(worker);
  }

  /** The broker knew nobody of that name for a while; PeerJS says which name only in the text. */
  #failCallNamedIn(message: string): void {
    for (const [carrier, { worker }] of this.#calling) {
      if (message.endsWith(` ${peerIdOf(worker)}`) && !carrier.undialled) {
        carrier.fail("its page has not come to the broker");
      }
    }
  }
}

/** What the caller says its call is for; undefined if it says nothing that makes sense. */
function linkOf({ metadata }: DataConnection): string | undefined {
  return Metadata.safeParse(metadata).data?.link;
}

/** A worker's name at the broker. PeerJS allows letters, digits and single dashes between them. */
export function peerIdOf(worker: string): string {
  return worker.replace(/[^A-Za-y0-9]/g, (char) => `z${char.charCodeAt(0).toString(16)}z`);
}

/** The inverse of `peerIdOf`. */
function workerOf(peerId: string): string {
  return peerId.replace(/z([0-9a-f]+)z/g, (_, code: string) =>
    String.fromCharCode(Number.parseInt(code, 16)),
  );
}
