// All links of one worker: opens those a plan asks for, closes the others, sends and counts.
// Not here: how one link comes to be (pair.ts) or works (link.ts), and what frames mean (web/worker).
import type { LinkKind, PlannedLink } from "../../core/plan/plan.ts";
import type { LinkFigure } from "../../core/plan/speed.ts";
import type { ByteCounts } from "../../core/protocol/control.ts";
import type { Exchange } from "./carrier.ts";
import { Pair } from "./pair.ts";
import { type RelayCall, RelayExchange } from "./relay-exchange.ts";
import { SiteExchange } from "./site-exchange.ts";
import { WideExchange } from "./wide-exchange.ts";

const CONNECT_TIMEOUT_MS = 30_000;

export interface SwitchboardOptions {
  /** This worker's id. */
  readonly self: string;
  /** For every connection; empty on a closed network. */
  readonly iceServers: RTCIceServer[];
  /** Key of our own server's PeerJS broker. */
  readonly brokerKey: string;
  /** What the server's relay knows this worker by. */
  readonly relayKey: string;
  /** Has the server carry connection set-up data to another worker. */
  readonly sendSignal: (to: string, data: string) => void;
  readonly onFrame: (from: string, frame: ArrayBuffer) => void;
  /** A link that was open is gone, and nobody here closed it. Once a link. */
  readonly onBroken: (peer: string, kind: LinkKind, reason: string) => void;
  /** The link to `peer` goes through the relay from now on, or does no more. */
  readonly onRelayed: (peer: string, relayed: boolean) => void;
  readonly connectTimeoutMs?: number;
  readonly relayAfterMs?: number;
  readonly mendMs?: number;
}

export class Switchboard {
  readonly #options: SwitchboardOptions;
  readonly #pairs = new Map<string, Pair>();
  readonly #site: SiteExchange;
  readonly #relay: RelayExchange;
  /** Made at the first wide link: only workers that need the broker register with it. */
  #wide: WideExchange | undefined;
  #counts: ByteCounts = { site: {}, wide: {} };
  #closed = false;

  constructor(options: SwitchboardOptions) {
    this.#options = options;
    this.#site = new SiteExchange({
      iceServers: options.iceServers,
      sendSignal: options.sendSignal,
      onCall: (peer) => this.#pairs.get(peer)?.onCall(),
    });
    this.#relay = new RelayExchange({
      key: options.relayKey,
      onCall: (peer) => this.#pairs.get(peer)?.onCall(),
    });
  }

  /**
   * Makes the links of `links` that involve this worker the ones it has: keeps what is open, closes what is not
   * planned any more, opens what is missing. Resolves when all are open.
   * @throws Error naming the first worker that could not be connected in time, or whose link a later call dropped
   */
  async connect(links: readonly PlannedLink[]): Promise<void> {
    if (this.#closed) throw new Error("this worker's links are closed");
    const { self, connectTimeoutMs = CONNECT_TIMEOUT_MS } = this.#options;
    const planned = new Map<string, PlannedLink>();
    for (const link of links) {
      if (link.initiator === self) planned.set(link.other, link);
      else if (link.other === self) planned.set(link.initiator, link);
    }
    for (const [peer, pair] of this.#pairs) {
      if (planned.get(peer)?.kind === pair.kind) continue;
      this.#pairs.delete(peer);
      void pair.close("no longer planned");
    }
    const opened = [...planned].map(([peer, { kind, initiator }]) => {
      const pair = this.#pairs.get(peer) ?? this.#pair(peer, kind, initiator === self);
      pair.expectIn(connectTimeoutMs);
      return pair.opened;
    });
    await Promise.all(opened);
  }

  /** Connection set-up data of `from`, as the server brought it; kept if no plan has named that worker yet. */
  signal(from: string, data: string): void {
    this.#site.signal(from, data);
  }

  /** Another worker calls through the relay, as the server says; kept if no plan has named that worker yet. */
  ring(call: RelayCall): void {
    this.#relay.ring(call);
  }

  /**
   * Sends a frame after those before it; the link keeps the buffer, which must not be changed any more. Resolves
   * when it has been handed to a carrier. Rejects if the link is not open or breaks meanwhile.
   */
  send(to: string, frame: ArrayBuffer): Promise<void> {
    const pair = this.#pairs.get(to);
    return pair ? pair.send(frame) : Promise.reject(new Error(`no link to worker ${to}`));
  }

  /** Of the open links that have been measured, by the other worker. */
  speeds(): Map<string, LinkFigure> {
    return new Map([...this.#pairs].flatMap(([peer, { speed }]) => (speed ? [[peer, speed] as const] : [])));
  }

  /** Bytes handed to data channels and the relay since the last reset, over all links there have been. */
  counts(): ByteCounts {
    return structuredClone(this.#counts);
  }

  resetCounts(): void {
    this.#counts = { site: {}, wide: {} };
  }

  /** Closes everything, for good. */
  close(reason: string): void {
    this.#closed = true;
    const closing = [...this.#pairs.values()].map((pair) => pair.close(reason));
    this.#pairs.clear();
    this.#site.close();
    this.#relay.close();
    // Leaving the broker cuts connections off, so goodbyes go first.
    void Promise.all(closing).then(() => this.#wide?.close());
  }

  #pair(peer: string, kind: LinkKind, initiator: boolean): Pair {
    const forget = (): void => {
      if (this.#pairs.get(peer) === pair) this.#pairs.delete(peer);
    };
    const pair: Pair = new Pair({
      peer,
      kind,
      initiator,
      exchange: kind === "site" ? this.#site : this.#wideExchange(),
      relay: this.#relay,
      relayAfterMs: this.#options.relayAfterMs,
      mendMs: this.#options.mendMs,
      onFrame: (frame) => this.#options.onFrame(peer, frame),
      onBytes: (purpose, bytes) => {
        const counts = this.#counts[kind];
        counts[purpose] = (counts[purpose] ?? 0) + bytes;
      },
      onRelayed: (relayed) => this.#options.onRelayed(peer, relayed),
      onBroken: (reason) => {
        forget();
        this.#options.onBroken(peer, kind, reason);
      },
      onFailed: forget,
    });
    this.#pairs.set(peer, pair);
    return pair;
  }

  #wideExchange(): Exchange {
    const { self, iceServers, brokerKey } = this.#options;
    this.#wide ??= new WideExchange({
      self,
      iceServers,
      brokerKey,
      onCall: (peer) => this.#pairs.get(peer)?.onCall(),
    });
    return this.#wide;
  }
}
