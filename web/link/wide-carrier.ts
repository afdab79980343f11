// Wide links: one PeerJS data connection.
// Not here: this page's registration with the broker, and calling (wide-exchange.ts); frames (link.ts).
import type { DataConnection } from "peerjs";
import { Carrier, LOW_WATER_BYTES } from "./carrier.ts";

export class WideCarrier extends Carrier {
  #connection: DataConnection | undefined;
  #peerConnection: RTCPeerConnection | undefined;
  #closed = false;

  /** Gives the carrier its connection; a call may have to wait for the broker first. */
  use(connection: DataConnection): void {
    this.#connection = connection;
    this.#peerConnection = connection.peerConnection;
    if (connection.open) this.#watchLow(connection.dataChannel);
    connection.on("open", () => {
      this.#watchLow(connection.dataChannel);
      this.onOpen();
    });
    connection.on("data", (data) =>
      this.onChunk(data instanceof ArrayBuffer ? new Uint8Array(data) : new Uint8Array()),
    );
    connection.on("error", (error) => this.fail(error.message || error.type));
    connection.on("close", () => this.fail("the connection was closed"));
  }

  /** Whether the call is still to be made. */
  get undialled(): boolean {
    return !this.#connection && !this.#closed;
  }

  get closed(): boolean {
    return this.#closed;
  }

  get open(): boolean {
    return this.#connection?.open ?? false;
  }

  get heard(): boolean {
    return Boolean(this.#peerConnection?.remoteDescription);
  }

  get addressed(): boolean {
    return /^a=candidate:/m.test(this.#peerConnection?.localDescription?.sdp ?? "");
  }

  get bufferedAmount(): number {
    return this.#connection?.dataChannel?.bufferedAmount ?? 0;
  }

  send(chunk: Uint8Array<ArrayBuffer>): void {
    if (!this.open) throw new Error("the connection is not open");
    // Far below its own mark of 8 MiB, PeerJS hands a message to the channel at once, without a queue of its own.
    void this.#connection!.send(chunk);
  }

  close(): void {
    this.#closed = true;
    this.#connection?.close();
  }

  /** Closes for a reason of the connection's or the broker's. */
  fail(reason: string): void {
    if (this.#closed) return;
    this.close();
    this.onClose(reason);
  }

  #watchLow(channel: RTCDataChannel): void {
    channel.bufferedAmountLowThreshold = LOW_WATER_BYTES;
    channel.addEventListener("bufferedamountlow", () => this.onLow());
  }
}
