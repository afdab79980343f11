// A planned link from the plan to its end: calls or answers until a Link is open, trying again until a deadline.
// Not here: which pairs there are (switchboard.ts), how pages meet (site-exchange.ts, wide-exchange.ts).
import type { LinkKind } from "../../core/plan/plan.ts";
import type { Carrier, Exchange } from "./carrier.ts";
import { Link } from "./link.ts";

const RETRY_MS = 500;

export interface PairOptions {
  readonly peer: string;
  readonly kind: LinkKind;
  /** Whether this page calls, or else answers. */
  readonly initiator: boolean;
  readonly exchange: Exchange;
  readonly onFrame: (frame: ArrayBuffer) => void;
  readonly onBytes: (purpose: string, bytes: number) => void;
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
  /** Of the latest attempt. */
  #carrier: Carrier | undefined;
  #link: Link | undefined;
  #deadline: ReturnType<typeof setTimeout> | undefined;
  #retry: ReturnType<typeof setTimeout> | undefined;
  /** Whether an earlier attempt heard from the other page, and why the last one failed. */
  #heard = false;
  #failure: string | undefined;

  constructor(options: PairOptions) {
    this.#options = options;
    this.opened = new Promise<void>((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    this.#attempt();
  }

  get kind(): LinkKind {
    return this.#options.kind;
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

  /** The other side calls: whatever connection there was before is void. */
  onCall(): void {
    if (this.#options.initiator) return;
    if (this.#state === "open") {
      const reason = "the other side connected anew";
      void this.close(reason);
      this.#options.onBroken(reason);
    } else if (this.#state === "connecting") {
      void this.#link?.close("called anew");
      this.#attempt();
    }
  }

  /** See `Link.send`. */
  send(frame: ArrayBuffer): Promise<void> {
    if (this.#state === "open" && this.#link) return this.#link.send(frame);
    return Promise.reject(new Error(`the link to worker ${this.#options.peer} is not open`));
  }

  /** Ends the link on purpose; resolves when its connection is closed. */
  close(reason: string): Promise<void> {
    return this.#end(new Error(`link to worker ${this.#options.peer} closed: ${reason}`), reason);
  }

  #attempt(): void {
    const { exchange, peer, initiator, onFrame, onBytes } = this.#options;
    const carrier = initiator ? exchange.call(peer) : exchange.answer(peer);
    if (!carrier) return;
    this.#heard ||= this.#carrier?.heard ?? false;
    this.#carrier = carrier;
    this.#link = new Link(carrier, {
      onOpen: () => this.#onOpen(),
      onFrame,
      onBytes,
      onClose: (reason) => this.#onLost(reason),
    });
  }

  #onOpen(): void {
    this.#state = "open";
    clearTimeout(this.#deadline);
    this.#resolve();
  }

  #onLost(reason: string): void {
    if (this.#state === "open") {
      this.#state = "ended";
      this.#options.onBroken(reason);
      return;
    }
    this.#failure = reason;
    // The side that answers waits for the next call.
    if (this.#options.initiator) this.#retry = setTimeout(() => this.#attempt(), RETRY_MS);
  }

  async #end(error: Error, reason = error.message): Promise<void> {
    this.#state = "ended";
    clearTimeout(this.#deadline);
    clearTimeout(this.#retry);
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
