// What a link needs of a data channel, whichever library opened it. One file a library implements it, and only
// that file touches the library's inner channel: site-carrier.ts, wide-carrier.ts, relay-carrier.ts.
// Not here: chunks, backpressure (link.ts), heartbeats (lane.ts).

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

  /** Whether messages go through our server. */
  readonly relayed: boolean = false;
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
  /** A call is for one link, whose name the caller chose: a link may take several. */
  call(peer: string, link: string): Carrier;
  /** The link that the next call of `peer` that waits is for. */
  called(peer: string): string | undefined;
  /** Takes that call. */
  answer(peer: string): Carrier | undefined;
  close(): void;
}

export interface ExchangeOptions {
  readonly iceServers: RTCIceServer[];
  /** `peer` calls. The call waits until it is answered. */
  readonly onCall: (peer: string) => void;
}

function ignore(): void {}
