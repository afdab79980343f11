// Runs in the browser pages of switchboard.test.ts: one switchboard a page, and what the test must see of it.
import type { LinkKind, PlannedLink } from "../../core/plan/plan.ts";
import type { ByteCounts } from "../../core/protocol/control.ts";
import { crc32 } from "../../core/protocol/crc32.ts";
import { encodeFrame } from "../../core/protocol/frame.ts";
import type { RelayCall } from "../../web/link/relay-exchange.ts";
import { Switchboard } from "../../web/link/switchboard.ts";

export interface Received {
  from: string;
  bytes: number;
  checksum: number;
}

/** Shorter than a user would want them. */
export interface Times {
  connectTimeoutMs?: number;
  relayAfterMs?: number;
  mendMs?: number;
}

/** What the page offers the test as `window.board`. */
export interface Board {
  start(self: string, keys: { broker: string; relay: string }, times: Times): Promise<void>;
  connect(links: PlannedLink[]): Promise<void>;
  close(reason: string): void;
  /** Sends frames of these sizes whose bytes depend on size and place; resolves to what must arrive. */
  send(to: string, sizes: number[]): Promise<Omit<Received, "from">[]>;
  /** Sends an activation frame with this payload; resolves to the frame's length. */
  sendActivation(to: string, payloadBytes: number): Promise<number>;
  /** Sends bytes on the open data channels themselves, past the switchboard. */
  sendRaw(bytes: number[]): void;
  readonly received: Received[];
  /** Workers reached through the relay. */
  relayed(): string[];
  /** Lets peer connections fail from now on. */
  blockPeerConnections(): void;
  /** Ends all peer connections, as a network might. */
  cut(): void;
  /** Data channels that are open, and how much each has sent. */
  channelBytes(): Promise<number[]>;
  readonly broken: { peer: string; kind: LinkKind; reason: string }[];
  counts(): ByteCounts;
  /** `bytesSent` of all data channels there are or have been, as the browser says. */
  bytesSent(): Promise<number>;
  /** The most any channel had buffered after a send. */
  readonly mostBuffered: number;
  /** Connections that got as far as gathering candidates, and the ICE servers they were given. */
  gathered(): (RTCIceServer[] | undefined)[];
}

declare global {
  interface Window {
    board: Board;
  }
}

const connections: RTCPeerConnection[] = [];
const channels = new Set<RTCDataChannel>();
const gathered = new Map<RTCPeerConnection, RTCIceServer[] | undefined>();
const relayed = new Set<string>();
let mostBuffered = 0;
let blocked = false;

window.RTCPeerConnection = class extends RTCPeerConnection {
  constructor(config?: RTCConfiguration) {
    // A relay that is not there is the only way a blocked connection may take.
    super(blocked ? { ...config, iceTransportPolicy: "relay" } : config);
    connections.push(this);
    this.addEventListener("icegatheringstatechange", () => gathered.set(this, config?.iceServers));
  }
};

// The prototype's own method, called with each channel as `this`.
const { send } = RTCDataChannel.prototype as { send: (this: RTCDataChannel, data: ArrayBufferView) => void };
RTCDataChannel.prototype.send = function (this: RTCDataChannel, data: unknown) {
  channels.add(this);
  send.call(this, data as ArrayBufferView);
  mostBuffered = Math.max(mostBuffered, this.bufferedAmount);
};

function fill(size: number, place: number): ArrayBuffer {
  const bytes = new Uint8Array(size);
  for (let i = 0; i < size; i++) bytes[i] = (i * 31 + (i >>> 8) + place) & 255;
  if (size > 5) bytes[5] = 0; // no kind of frame
  return bytes.buffer;
}

type ChannelReport = RTCStats & { readonly state: string; readonly bytesSent: number };

async function channelReports(connection: RTCPeerConnection): Promise<ChannelReport[]> {
  const reports = [...((await connection.getStats()).values() as Iterable<RTCStats>)];
  return reports.filter(({ type }) => type === "data-channel") as ChannelReport[];
}

const received: Received[] = [];
const broken: Board["broken"] = [];
let switchboard: Switchboard;

window.board = {
  received,
  broken,
  async start(self, keys, times) {
    const signals = new WebSocket(`/signals?worker=${self}`);
    await new Promise((resolve) => signals.addEventListener("open", resolve));
    switchboard = new Switchboard({
      self,
      iceServers: [],
      brokerKey: keys.broker,
      relayKey: keys.relay,
      sendSignal: (to, data) => signals.send(JSON.stringify({ to, data })),
      onRelayed: (peer, yes) => (yes ? relayed.add(peer) : relayed.delete(peer)),
      onFrame: (from, frame) =>
        received.push({ from, bytes: frame.byteLength, checksum: crc32(new Uint8Array(frame)) }),
      onBroken: (peer, kind, reason) => broken.push({ peer, kind, reason }),
      ...times,
    });
    signals.addEventListener("message", ({ data }) => {
      const message = JSON.parse(data as string) as { from: string; data: string } | { ring: RelayCall };
      if ("ring" in message) switchboard.ring(message.ring);
      else switchboard.signal(message.from, message.data);
    });
  },
  connect: (links) => switchboard.connect(links),
  close: (reason) => switchboard.close(reason),
  async send(to, sizes) {
    const frames = sizes.map(fill);
    await Promise.all(frames.map((frame) => switchboard.send(to, frame)));
    return frames.map((frame) => ({ bytes: frame.byteLength, checksum: crc32(new Uint8Array(frame)) }));
  },
  async sendActivation(to, payloadBytes) {
    const frame = encodeFrame({
      kind: "activation",
      run: 1,
      generation: 1,
      step: 1,
      microbatch: 0,
      segment: 0,
      dtype: "f32",
      shape: [1, 1, payloadBytes / 4],
      payload: new Uint8Array(payloadBytes),
    });
    await switchboard.send(to, frame);
    return frame.byteLength;
  },
  sendRaw(bytes) {
    for (const channel of channels) if (channel.readyState === "open") channel.send(Uint8Array.from(bytes));
  },
  relayed: () => [...relayed],
  blockPeerConnections: () => void (blocked = true),
  cut() {
    for (const connection of connections) connection.close();
    for (const channel of channels) channel.dispatchEvent(new Event("close"));
  },
  async channelBytes() {
    const all = await Promise.all(connections.map(channelReports));
    return all.flat().flatMap(({ state, bytesSent }) => (state === "open" ? [bytesSent] : []));
  },
  counts: () => switchboard.counts(),
  async bytesSent() {
    const all = await Promise.all(connections.map(channelReports));
    return all.flat().reduce((sum, { bytesSent }) => sum + bytesSent, 0);
  },
  get mostBuffered() {
    return mostBuffered;
  },
  gathered: () => [...gathered.values()],
};
