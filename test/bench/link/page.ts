// Runs in both pages of the benchmark of links: sends or takes one transfer over the way it is told.
// Not here: who sends when, and the signals of the bare channel (drive.ts).
import { RelayCarrier } from "../../../web/link/relay-carrier.ts";
import type { Carrier } from "../../../web/link/carrier.ts";
import { CHUNK_PAYLOAD_BYTES } from "../../../web/link/chunks.ts";
import { Switchboard } from "../../../web/link/switchboard.ts";
import type { RelayCall } from "../../../web/link/relay-exchange.ts";
import type { Way } from "./result.ts";

export interface BenchPage {
  start(self: string, keys: { broker: string; relay: string }): Promise<void>;
  connectLink(initiator: string, other: string): Promise<void>;
  /** The bare channel: an offer, its answer, and the answer's taking. */
  offer(): Promise<string>;
  answer(offer: string): Promise<string>;
  accept(answer: string): Promise<void>;
  callRelay(other: string): Promise<void>;
  answerRelay(): Promise<void>;
  /** Seconds until the other page says that it has all. */
  transfer(way: Way, bytes: number): Promise<number>;
  /** Connections of the link that are open. */
  lanes(): number;
}

declare global {
  interface Window {
    bench: BenchPage;
  }
}

/** As much as keeps a channel busy. */
const HIGH_WATER_BYTES = 1024 * 1024;

const connections: RTCPeerConnection[] = [];
window.RTCPeerConnection = class extends RTCPeerConnection {
  constructor(config?: RTCConfiguration) {
    super(config);
    connections.push(this);
  }
};

let switchboard: Switchboard;
let self = "";
let peer = "";
let bare: RTCPeerConnection;
/** The ways on which plain messages go. */
const plain: { channel?: Plain; websocket?: Plain } = {};
let relayCall: (call: RelayCall) => void;
const relayCalled = new Promise<RelayCall>((resolve) => (relayCall = resolve));
let relayKey = "";
/** Called when the other page says that it has a transfer. */
let arrived: () => void = () => {};

/** A plain channel, and what has come over it of a transfer. */
class Plain {
  onLow: () => void = () => {};
  #taken = 0;

  constructor(
    readonly send: (message: Uint8Array<ArrayBuffer>) => void,
    readonly buffered: () => number,
  ) {}

  /** A transfer begins with its length; the answer to it is one byte. */
  take(message: ArrayBuffer | Uint8Array): void {
    if (message.byteLength === 1) return arrived();
    if (message.byteLength === 4) {
      const view =
        message instanceof Uint8Array
          ? new DataView(message.buffer, message.byteOffset)
          : new DataView(message);
      this.#taken = -view.getUint32(0);
      return;
    }
    this.#taken += message.byteLength;
    if (this.#taken === 0) this.send(new Uint8Array(1));
  }

  async transfer(bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    const length = new Uint8Array(4);
    new DataView(length.buffer).setUint32(0, bytes.length);
    this.send(length);
    for (let offset = 0; offset < bytes.length; offset += CHUNK_PAYLOAD_BYTES) {
      while (this.buffered() > HIGH_WATER_BYTES) await new Promise<void>((resolve) => (this.onLow = resolve));
      this.send(bytes.subarray(offset, offset + CHUNK_PAYLOAD_BYTES));
    }
  }
}

function useChannel(channel: RTCDataChannel): Promise<void> {
  channel.binaryType = "arraybuffer";
  channel.bufferedAmountLowThreshold = HIGH_WATER_BYTES / 2;
  const way = new Plain(
    (message) => channel.send(message),
    () => channel.bufferedAmount,
  );
  channel.addEventListener("bufferedamountlow", () => way.onLow());
  channel.addEventListener("message", ({ data }: MessageEvent<ArrayBuffer>) => way.take(data));
  plain.channel = way;
  return channel.readyState === "open"
    ? Promise.resolve()
    : new Promise((resolve) => channel.addEventListener("open", () => resolve()));
}

function useRelay(carrier: Carrier): Promise<void> {
  const way = new Plain(
    (message) => carrier.send(message),
    () => carrier.bufferedAmount,
  );
  carrier.onLow = () => way.onLow();
  carrier.onChunk = (message) => way.take(message);
  plain.websocket = way;
  return new Promise((resolve) => (carrier.onOpen = resolve));
}

async function described(): Promise<string> {
  await new Promise<void>((resolve) => {
    if (bare.iceGatheringState === "complete") resolve();
    bare.onicegatheringstatechange = () => bare.iceGatheringState === "complete" && resolve();
  });
  return JSON.stringify(bare.localDescription);
}

window.bench = {
  async start(id, keys) {
    self = id;
    relayKey = keys.relay;
    const signals = new WebSocket(`/signals?worker=${self}`);
    await new Promise((resolve) => signals.addEventListener("open", resolve));
    switchboard = new Switchboard({
      self,
      iceServers: [],
      brokerKey: keys.broker,
      relayKey,
      sendSignal: (to, data) => signals.send(JSON.stringify({ to, data })),
      onRelayed: (other) => console.error(`the link to ${other} is relayed`),
      onFrame: (_, frame) => {
        if (frame.byteLength === 1) arrived();
        else void switchboard.send(peer, new ArrayBuffer(1));
      },
      onBroken: (other, _, reason) => console.error(`the link to ${other} broke: ${reason}`),
    });
    signals.addEventListener("message", ({ data }) => {
      const message = JSON.parse(data as string) as { from: string; data: string } | { ring: RelayCall };
      if ("ring" in message) relayCall(message.ring);
      else switchboard.signal(message.from, message.data);
    });
  },
  connectLink(initiator, other) {
    peer = initiator === self ? other : initiator;
    return switchboard.connect([{ initiator, other, kind: "wide" }]);
  },
  async offer() {
    bare = new RTCPeerConnection({ iceServers: [] });
    connections.pop();
    void useChannel(bare.createDataChannel("bare"));
    await bare.setLocalDescription();
    return described();
  },
  async answer(offer) {
    bare = new RTCPeerConnection({ iceServers: [] });
    connections.pop();
    bare.ondatachannel = ({ channel }) => void useChannel(channel);
    await bare.setRemoteDescription(JSON.parse(offer) as RTCSessionDescriptionInit);
    await bare.setLocalDescription();
    return described();
  },
  async accept(answer) {
    await bare.setRemoteDescription(JSON.parse(answer) as RTCSessionDescriptionInit);
    await new Promise<void>((resolve) => {
      const look = () => (bare.sctp?.state === "connected" ? resolve() : setTimeout(look, 50));
      look();
    });
  },
  callRelay: (other) =>
    useRelay(new RelayCarrier({ type: "call", key: relayKey, to: other, link: crypto.randomUUID() })),
  async answerRelay() {
    const { call } = await relayCalled;
    await useRelay(new RelayCarrier({ type: "answer", key: relayKey, call }));
  },
  async transfer(way, length) {
    const bytes = new Uint8Array(length);
    for (let i = 0; i < length; i += 65_536) crypto.getRandomValues(bytes.subarray(i, i + 65_536));
    const answered = new Promise<void>((resolve) => (arrived = resolve));
    const start = performance.now();
    if (way === "link") await switchboard.send(peer, bytes.buffer);
    else await plain[way]!.transfer(bytes);
    await answered;
    return (performance.now() - start) / 1000;
  },
  lanes: () => connections.filter(({ connectionState }) => connectionState === "connected").length,
};
