// The way through our server, when no peer connection comes up: one WebSocket, whose binary messages the server
// passes on to the other page. What was sent counts as buffered until the server has passed it on, but for a stretch
// that keeps the way busy: no timer, which a hidden page would wait a second for.
// Not here: calling (relay-exchange.ts); frames (link.ts).
import { RELAY_CREDIT_BYTES, RELAY_PATH, type RelayGreeting, RelayWord } from "../../core/protocol/relay.ts";
import { Carrier, LOW_WATER_BYTES } from "./carrier.ts";

/** May be under way to and in the server without counting as buffered. */
const UNDER_WAY_BYTES = RELAY_CREDIT_BYTES / 2;

export class RelayCarrier extends Carrier {
  override readonly relayed = true;
  readonly heard = false;
  readonly addressed = true;
  readonly #socket: WebSocket;
  #open = false;
  #unpassed = 0;
  #closed = false;

  constructor(greeting: RelayGreeting) {
    super();
    const protocol = location.protocol === "https:" ? "wss" : "ws";
    this.#socket = new WebSocket(`${protocol}://${location.host}${RELAY_PATH}`);
    this.#socket.binaryType = "arraybuffer";
    this.#socket.addEventListener("open", () => this.#socket.send(JSON.stringify(greeting)));
    this.#socket.addEventListener("message", ({ data }: MessageEvent<ArrayBuffer | string>) => {
      if (this.#closed) return;
      if (typeof data === "string") this.#obey(RelayWord.parse(JSON.parse(data)));
      else this.onChunk(new Uint8Array(data));
    });
    this.#socket.addEventListener("close", ({ reason }) =>
      this.#end(reason || "the relay's connection closed"),
    );
  }

  get open(): boolean {
    return this.#open && !this.#closed;
  }

  get bufferedAmount(): number {
    return Math.max(0, this.#unpassed - UNDER_WAY_BYTES);
  }

  send(chunk: Uint8Array<ArrayBuffer>): void {
    if (!this.open || this.#socket.readyState !== WebSocket.OPEN) throw new Error("the relay is not open");
    this.#unpassed += chunk.length;
    this.#socket.send(chunk);
  }

  close(): void {
    this.#closed = true;
    this.#socket.close();
  }

  #obey(word: RelayWord): void {
    if (word.type === "open") {
      this.#open = true;
      this.onOpen();
    } else {
      this.#unpassed -= word.bytes;
      if (this.bufferedAmount <= LOW_WATER_BYTES) this.onLow();
    }
  }

  #end(reason: string): void {
    if (this.#closed) return;
    this.#closed = true;
    this.onClose(reason);
  }
}
