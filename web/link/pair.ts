// A planned link from the plan to its end: calls or answers until a Link is open, trying again until a deadline; adds
// the lanes it wants, replaces those it loses, and turns to the relay when no direct way comes up.
// Not here: which pairs there are (switchboard.ts), how pages meet (the exchanges), what goes over lanes (link.ts).
import type { LinkKind } from "../../core/plan/plan.ts";
import type { LinkFigure } from "../../core/plan/speed.ts";
import type { Carrier, Exchange } from "./carrier.ts";
import { Link } from "./link.ts";

const RETRY_MS = 500;
/** After this long without a lane the relay is called as well. */
export const RELAY_AFTER_MS = 10_000;
/** Lanes of a wide link; a site link is as fast over one. */
const MOST_WIDE_LANES = 8;
/** Some calls may cross with the loss of others, but nobody needs more than this. */
const MOST_ANSWERED = 2 * MOST_WIDE_LANES;

export interface PairOptions {
  readonly peer: string;
  readonly kind: LinkKind;
  /** Whether this page calls, or else answers. */
  readonly initiator: boolean;
  readonly exchange: Exchange;
  readonly relay: Exchange;
  readonly relayAfterMs?: number | undefined;
  readonly mendMs?: number | undefined;
  readonly onFrame: (frame: ArrayBuffer) => void;
  readonly onBytes: (purpose: string, bytes: number) => void;
  /** The link goes through the relay from now on, or does no more. */
  readonly onRelayed: (relayed: boolean) => void;
  /** The link was open and is gone, not by `close`. */
  readonly onBroken: (reason: string) => void;
  /** The link did not open in time: `opened` rejects. */
  readonly onFailed: () => void;
}

export class Pair {
  readonly opened: Promise<void>;
  readonly #options: PairOptions;
  #resolve: () => void = () => {};
  #reject: (error: Error) => void = () => {};
  #state: "connecting" | "open" | "ended" = "connecting";
  /** The caller chooses the name, and both use it for every lane. */
  #name: string | undefined;
  #link: Link | undefined;
  /** Of the latest direct attempt. */
  #carrier: Carrier | undefined;
  #deadline: ReturnType<typeof setTimeout> | undefined;
  /** While it runs, no direct call is made. */
  #retry: ReturnType<typeof setTimeout> | undefined;
  /** Runs while there is no lane; then the relay may be called. */
  #relayTimer: ReturnType<typeof setTimeout> | undefined;
  #mayRelay = false;
  #relayed = false;
  /** Whether an earlier attempt heard from the other page, and why the last one failed. */
  #heard = false;
  #failure: string | undefined;

  constructor(options: PairOptions) {
    this.#options = options;
    this.opened = new Promise<void>((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    if (options.initiator) {
      this.#begin(crypto.randomUUID());
      this.#call();
    } else this.onCall();
  }

  get kind(): LinkKind {
    return this.#options.kind;
  }

  /** Of the link as it is; undefined before it was measured. */
  get speed(): LinkFigure | undefined {
    return this.#state === "open" ? this.#link?.speed : undefined;
  }

  /** Starts the time that is left to open the link anew. */
  expectIn(timeoutMs: number): void {
    clearTimeout(this.#deadline);
    if (this.#state !== "connecting") return;
    this.#deadline = setTimeout(() => {
      const error = new Error(this.#explain(timeoutMs));
      this.#options.onFailed();
      void this.#end(error);
    }, timeoutMs);
  }

  /** The other side calls: one more lane, or, if it has begun another link, a new beginning. */
  onCall(): void {
    if (this.#options.initiator) return;
    const { peer, exchange, relay } = this.#options;
    for (const way of [exchange, relay]) {
      for (let name; this.#state !== "ended" && (name = way.called(peer)) !== undefined;) {
        if (name !== this.#name) {
          // The call waits for the link that takes this one's place.
          if (this.#state === "open") return this.#break("the other side connected anew");
          void this.#link?.close("called anew");
          this.#begin(name);
        }
        this.#add(way.answer(peer), way === exchange);
      }
    }
  }

  /** See `Link.send`. */
  send(frame: ArrayBuffer): Promise<void> {
    if (this.#state === "open" && this.#link) return this.#link.send(frame);
    return Promise.reject(new Error(`the link to worker ${this.#options.peer} is not open`));
  }

  /** Ends the link on purpose; resolves when its connections are closed. */
  close(reason: string): Promise<void> {
    return this.#end(new Error(`link to worker ${this.#options.peer} closed: ${reason}`), reason);
  }

  #begin(name: string): void {
    const { kind, mendMs, onFrame, onBytes } = this.#options;
    this.#name = name;
    const link: Link = new Link({
      mostLanes: kind === "wide" ? MOST_WIDE_LANES : 1,
      mendMs,
      onOpen: () => this.#onOpen(),
      onFrame,
      onBytes,
      onLanes: (lost) => {
        if (this.#link === link) this.#onLanes(lost);
      },
      onClose: (reason) => this.#onClosed(link, reason),
    });
    this.#link = link;
  }

  #add(carrier: Carrier | undefined, direct: boolean): void {
    if (!carrier || !this.#link) return;
    if (this.#link.count(!direct).all >= MOST_ANSWERED) return carrier.close();
    if (direct) {
      this.#heard ||= this.#carrier?.heard ?? false;
      this.#carrier = carrier;
    }
    this.#link.add(carrier);
  }

  #onOpen(): void {
    this.#state = "open";
    clearTimeout(this.#deadline);
    this.#resolve();
  }

  #onLanes(lost: string | undefined): void {
    if (this.#state === "ended") return;
    const direct = this.#link!.count(false);
    const relayed = direct.ready === 0 && this.#link!.count(true).ready > 0;
    if (direct.ready > 0 || relayed) {
      clearTimeout(this.#relayTimer);
      this.#relayTimer = undefined;
      this.#mayRelay = false;
      if (relayed !== this.#relayed) this.#options.onRelayed((this.#relayed = relayed));
    }
    if (lost !== undefined) this.#failure = lost;
    if (!this.#options.initiator) return;
    if (direct.ready > 0) this.#link!.dropRelayed();
    if (lost !== undefined) this.#retry ??= setTimeout(() => this.#again(), RETRY_MS);
    else this.#call();
  }

  #again(): void {
    this.#retry = undefined;
    this.#call();
  }

  /** Makes the calls that are missing. A link that is relayed leaves it at the attempt that may be under way. */
  #call(): void {
    const { exchange, relay, peer, relayAfterMs = RELAY_AFTER_MS } = this.#options;
    if (this.#state === "ended" || this.#retry !== undefined) return;
    const link = this.#link!;
    const wayThrough = link.count(true);
    const wanted = wayThrough.ready > 0 ? 0 : link.wantedLanes;
    for (let { all } = link.count(false); all < wanted; all++) {
      this.#add(exchange.call(peer, this.#name!), true);
    }
    if (link.count(false).ready > 0 || wayThrough.ready > 0) return;
    this.#relayTimer ??= setTimeout(() => {
      this.#mayRelay = true;
      this.#call();
    }, relayAfterMs);
    if (this.#mayRelay && wayThrough.all === 0) this.#add(relay.call(peer, this.#name!), false);
  }

  #onClosed(link: Link, reason: string): void {
    if (this.#link !== link) return;
    if (this.#state === "open") this.#break(reason);
    else if (this.#state === "connecting") {
      this.#failure = reason;
      // The side that answers waits for the next call.
      if (!this.#options.initiator) return;
      this.#begin(crypto.randomUUID());
      this.#retry ??= setTimeout(() => this.#again(), RETRY_MS);
    }
  }

  #break(reason: string): void {
    void this.close(reason);
    this.#options.onBroken(reason);
  }

  async #end(error: Error, reason = error.message): Promise<void> {
    this.#state = "ended";
    clearTimeout(this.#deadline);
    clearTimeout(this.#retry);
    clearTimeout(this.#relayTimer);
    if (this.#relayed) this.#options.onRelayed((this.#relayed = false));
    this.#reject(error);
    await this.#link?.close(reason);
  }

  #explain(timeoutMs: number): string {
    const last = this.#failure ? ` (last attempt: ${this.#failure})` : "";
    return `no connection to worker ${this.#options.peer} in ${timeoutMs / 1000} s: ${this.#cause()}${last}`;
  }

  #cause(): string {
    const { trouble } = this.#options.exchange;
    if (trouble) return trouble;
    if (!this.#heard && !this.#carrier?.heard) {
      return "nothing was heard from its page: is it still open?";
    }
    if (!this.#carrier?.addressed) {
      return "this browser offers no network address: on a machine without a default route, allow this page microphone and camera, which are not used but let the browser list its addresses";
    }
    return "the two pages found each other, but no packet came through: does a firewall or a VPN block UDP between the two machines?";
  }
}
