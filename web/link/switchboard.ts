// All links of one worker: opens those a plan asks for, closes the others, sends and counts.
// Not here: how one link comes to be (pair.ts) or works (link.ts), and what frames mean (web/worker).
import type { LinkKind, PlannedLink } from "../../core/plan/plan.ts";
import type { ByteCounts } from "../../core/protocol/control.ts";
import type { Exchange } from "./carrier.ts";
import { Pair } from "./pair.ts";
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
  /** Has the server carry connection set-up data to another worker. */
  readonly sendSignal: (to: string, data: string) => void;
  readonly onFrame: (from: string, frame: ArrayBuffer) => void;
  /** A link that was open is gone, and nobody here closed it. Once a link. */
  readonly onBroken: (peer: string, kind: LinkKind, reason: string) => void;
  readonly connectTimeoutMs?: number;
}

export class Switchboard {
  readonly #options: SwitchboardOptions;
  readonly #pairs = new Map<string, Pair>();
  readonly #site: SiteExchange;
  /** Made at the first wide link: only workers that need the broker register with it. */
  #wide: WideExchange | undefined;
  #counts: ByteCounts = { site: {}, wide: {} };
  #closed = false;

  constructor(options: SwitchboardOptions) {
    this.#options = options;
    this.#site = new SiteExchange({
      iceServers: options.iceServers,
      sendSignal: options.sendSignal,
      onCall: (peer) => this.#onCall(peer, "site"),
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

  /**
   * Sends a frame after those before it. Resolves when it has been handed to the channel; leave the buffer alone
   * until then. Rejects if the link is not open or breaks meanwhile.
   */
  send(to: string, frame: ArrayBuffer): Promise<void> {
    const pair = this.#pairs.get(to);
    return pair ? pair.send(frame) : Promise.reject(new Error(`no link to worker ${to}`));
  }

  /** Bytes handed to data channels since the last reset, over all links there have been. */
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
      onFrame: (frame) => this.#options.onFrame(peer, frame),
      onBytes: (purpose, bytes) => {
        const counts = this.#counts[kind];
        counts[purpose] = (counts[purpose] ?? 0) + bytes;
      },
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
      onCall: (peer) => this.#onCall(peer, "wide"),
    });
    return this.#wide;
  }

  #onCall(peer: string, kind: LinkKind): void {
    const pair = this.#pairs.get(peer);
    if (pair?.kind === kind) pair.onCall();
  }
}
