// How pages meet that cannot reach each other: the caller opens a socket to the server's relay, the server tells the
// other page over its control socket, and that one opens a socket of its own.
// Not here: an open connection (relay-carrier.ts), when the relay is used (pair.ts), the relay itself (server/relay.ts).
import type { Exchange } from "./carrier.ts";
import { RelayCarrier } from "./relay-carrier.ts";

/** Kept of a worker's calls until they are answered. */
const MAX_WAITING_CALLS = 4;

export interface RelayCall {
  readonly from: string;
  readonly link: string;
  /** The server's name for it. */
  readonly call: string;
}

export interface RelayExchangeOptions {
  /** What the server gave this worker to show to the relay. */
  readonly key: string;
  readonly onCall: (peer: string) => void;
}

export class RelayExchange implements Exchange {
  readonly trouble = undefined;
  readonly #options: RelayExchangeOptions;
  readonly #waiting = new Map<string, RelayCall[]>();

  constructor(options: RelayExchangeOptions) {
    this.#options = options;
  }

  call(peer: string, link: string): RelayCarrier {
    return new RelayCarrier({ type: "call", key: this.#options.key, to: peer, link });
  }

  called(peer: string): string | undefined {
    return this.#waiting.get(peer)?.[0]?.link;
  }

  answer(peer: string): RelayCarrier | undefined {
    const call = this.#waiting.get(peer)?.shift();
    return call && new RelayCarrier({ type: "answer", key: this.#options.key, call: call.call });
  }

  /** The server says that another worker calls. */
  ring(call: RelayCall): void {
    const waiting = [...(this.#waiting.get(call.from) ?? []), call];
    this.#waiting.set(call.from, waiting.slice(-MAX_WAITING_CALLS));
    this.#options.onCall(call.from);
  }

  close(): void {
    this.#waiting.clear();
  }
}
