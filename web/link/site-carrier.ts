// Site links: one simple-peer connection. `iceServers` is always given, since the default of simple-peer is public
// STUN servers.
// Not here: calling, and the way of the signals (site-exchange.ts); frames (link.ts).
import SimplePeer from "simple-peer/simplepeer.min.js";
import { Carrier, LOW_WATER_BYTES } from "./carrier.ts";

export class SiteCarrier extends Carrier {
  readonly #peer: SimplePeer.Instance;
  #open = false;
  #heard = false;
  #addressed = false;
  #reason = "the connection was closed";

  constructor(
    initiator: boolean,
    iceServers: RTCIceServer[],
    onSignal: (signal: SimplePeer.SignalData) => void,
  ) {
    super();
    // Object mode keeps messages apart, which a stream of bytes might join.
    this.#peer = new SimplePeer({ initiator, config: { iceServers }, objectMode: true });
    this.#peer.on("signal", (signal) => {
      if (signal.type === "candidate" && signal.candidate.candidate !== "") this.#addressed = true;
      onSignal(signal);
    });
    this.#peer.on("connect", () => this.#onOpen());
    this.#peer.on("data", (data: unknown) => {
      this.#onOpen(); // messages may come first
      this.onChunk(data instanceof Uint8Array ? data : new Uint8Array());
    });
    this.#peer.on("error", (error) => (this.#reason = error.message));
    this.#peer.on("close", () => this.onClose(this.#reason));
  }

  get open(): boolean {
    return this.#open;
  }

  get heard(): boolean {
    return this.#heard;
  }

  get addressed(): boolean {
    return this.#addressed;
  }

  get bufferedAmount(): number {
    return this.#peer.bufferSize;
  }

  signal(signal: SimplePeer.SignalData): void {
    this.#heard = true;
    if (!this.#peer.destroyed) this.#peer.signal(signal);
  }

  send(chunk: Uint8Array<ArrayBuffer>): void {
    this.#peer.send(chunk);
  }

  close(): void {
    this.onClose = () => {};
    this.#peer.destroy();
  }

  #onOpen(): void {
    if (this.#open) return;
    this.#open = true;
    const channel: RTCDataChannel = Reflect.get(this.#peer, "_channel"); // it has no public name
    channel.bufferedAmountLowThreshold = LOW_WATER_BYTES;
    channel.addEventListener("bufferedamountlow", () => this.onLow());
    this.onOpen();
  }
}
