// What a link needs of a data channel, whichever library opened it. One file a library implements it, and only
// that file touches the library's inner channel: site-carrier.ts, wide-carrier.ts.
// Not here: chunks, backpressure, heartbeats (link.ts).

/** `onLow` comes when a channel has no more than this waiting to be sent. */
export const LOW_WATER_BYTES = 128 * 1024;

/**
 * One attempt at a connection: it opens at most once and closes once. Its user assigns the `on...` handlers
 * before control returns to the event loop.
 */
export abstract class Carrier {
  onOpen: () => void = ignore;
  /** A whole message, in the order sent. An empty one stands for a message that was not binary. */
  onChunk: (chunk: Uint8Array) => void = ignore;
  onLow: () => void = ignore;
  /** The channel is gone, or never came to be. Not called after `close`. */
  onClose: (reason: string) => void = ignore;

  abstract readonly open: boolean;
  /** Whether the other page has been heard from. */
  abstract readonly heard: boolean;
  /** Whether this browser has found an address of its own to offer. */
  abstract readonly addressed: boolean;
  /** Bytes handed over and not yet sent. */
  abstract readonly bufferedAmount: number;

  /** Hands one message to the open channel. @throws when the channel does not take it */
  abstract send(chunk: Uint8Array<ArrayBuffer>): void;
  /** Closes the connection at once, sent or not. */
  abstract close(): void;
}

/** How two pages of one link kind meet: one calls, the other answers. */
export interface Exchange {
  /** Why no connection can come to be at present, if the reason lies in meeting itself. */
  readonly trouble: string | undefined;
  call(peer: string): Carrier;
  /** Takes the latest call of `peer`, if one is waiting. */
  answer(peer: string): Carrier | undefined;
  close(): void;
}

export interface ExchangeOptions {
  readonly iceServers: RTCIceServer[];
  /** `peer` calls, and any call of its from before is void. The call waits until it is answered. */
  readonly onCall: (peer: string) => void;
}

function ignore(): void {}
