// A link: whole frames, in order, none lost and none twice, over one or more lanes that may come and go. It spreads
// chunks over the lanes that have room, holds senders back while none has, acknowledges what arrived, sends again
// what a lost lane had, and counts the bytes it hands over.
// Not here: opening carriers and trying again (pair.ts), how fast it is (link-gauge.ts), the meaning of a frame
// (core/protocol).
import type { LinkFigure } from "../../core/plan/speed.ts";
import { frameKind } from "../../core/protocol/frame.ts";
import type { Carrier } from "./carrier.ts";
import {
  type Ack,
  ackChunk,
  type Bytes,
  ChunkError,
  distance,
  type FrameChunk,
  type Goodbye,
  goodbyeChunk,
  type Hello,
  helloChunk,
  type LinkChunk,
} from "./chunks.ts";
import { FrameJoiner, WINDOW_FRAMES } from "./frame-joiner.ts";
import { Lane, type LaneUser } from "./lane.ts";
import { LinkGauge } from "./link-gauge.ts";
import { Outbox } from "./outbox.ts";
import { Window } from "./window.ts";

/** A link that was open and has no lane for this long is broken. */
export const MEND_MS = 20_000;
/** How long a goodbye may take to arrive. */
const GOODBYE_MS = 1000;
/** What arrived is acknowledged after this long, or this many bytes or frames. */
const ACK_MS = 200;
const ACK_BYTES = 2 * 1024 * 1024;
const ACK_FRAMES = 128;
/** When nothing waits to be sent, a chunk that has not arrived after this long goes over another lane as well... */
const RESCUE_MS = 500;
/** ...or, on a slow path, after this many times what a chunk takes at least. */
const RESCUE_TIMES = 4;
/** What a lane takes from others until it hears of its arrival. */
const RESCUE_BYTES = 128 * 1024;

/** What a link counts its own bytes as: hello, acknowledgements, goodbye, and frames that are not Tributary's. */
const OWN_PURPOSE = "link";
const PROBE_PURPOSE = "probe";

export interface LinkOptions {
  /** Lanes that may be asked for, a power of 2. */
  readonly mostLanes: number;
  readonly mendMs?: number | undefined;
  /** The other side is ready for frames. Once. */
  onOpen(): void;
  onFrame(frame: ArrayBuffer): void;
  /** The link is gone; not called after `close`. */
  onClose(reason: string): void;
  /** Bytes handed to carriers, chunk headers included; `purpose` is a frame's kind, "link" or "probe". */
  onBytes(purpose: string, bytes: number): void;
  /** A lane has come to be ready or another number of them is wanted; or one is lost, for this reason. */
  onLanes(lost?: string): void;
}

export class Link {
  readonly #options: LinkOptions;
  readonly #joiner = new FrameJoiner();
  readonly #outbox = new Outbox<Lane>();
  readonly #gauge: LinkGauge;
  readonly #window = new Window();
  /** Whether frames wait for the window. */
  #full = false;
  /** In the order in which they came. */
  readonly #lanes = new Set<Lane>();
  #state: "connecting" | "open" | "closed" = "connecting";
  #closeReason = "not open yet";
  /** Senders whose frame is not wholly handed over. */
  readonly #senders = new Set<(error: Error) => void>();
  #wantedThere = 1;
  /** Arrived and not acknowledged yet. */
  #owedBytes = 0;
  #owedFrames = 0;
  #ackTimer: ReturnType<typeof setTimeout> | undefined;
  #mending: ReturnType<typeof setTimeout> | undefined;
  #farewell: Goodbye | undefined;
  #onEmpty: (() => void) | undefined;

  constructor(options: LinkOptions) {
    this.#options = options;
    this.#gauge = new LinkGauge(options.mostLanes, {
      traffic: () => ({
        waits: this.#outbox.nextLength > 0,
        idle: this.#outbox.idle,
        buffered: [...this.#lanes].reduce((sum, lane) => sum + lane.bufferedAmount, 0),
        lanes: this.count(false).ready,
      }),
      onRest: () => this.#rescue(),
      onWantedLanes: () => {
        this.#sayAck();
        this.#options.onLanes();
        this.#pump();
      },
    });
  }

  /** Gives the link one more way to the other side. @param carrier fresh */
  add(carrier: Carrier): void {
    if (this.#state === "closed") carrier.close();
    else this.#lanes.add(new Lane(carrier, this.#user));
  }

  /** Lanes there are, ready or not, and lanes that are ready: over peer connections or through the relay. */
  count(relayed: boolean): { all: number; ready: number } {
    const lanes = [...this.#lanes].filter((lane) => lane.relayed === relayed);
    return { all: lanes.length, ready: lanes.filter(({ ready }) => ready).length };
  }

  /** Lanes that would be of use to either side. */
  get wantedLanes(): number {
    return Math.min(this.#options.mostLanes, Math.max(this.#gauge.wantedLanes, this.#wantedThere));
  }

  /** Towards the other side; undefined before it was measured. */
  get speed(): LinkFigure | undefined {
    return this.#gauge.speed;
  }

  /** Closes lanes that go through the relay: others carry what they had. */
  dropRelayed(): void {
    for (const lane of this.#lanes) if (lane.relayed) lane.lose("a direct connection took over");
  }

  /**
   * Sends a frame after those before it; the link keeps the buffer, which must not be changed any more. Resolves
   * when its last chunk has been handed to a lane. Rejects if the link is not open or closes meanwhile.
   */
  send(frame: ArrayBuffer): Promise<void> {
    if (this.#state !== "open") return Promise.reject(new Error(`link closed: ${this.#closeReason}`));
    return new Promise((resolve, reject) => {
      this.#outbox.push(frame, () => {
        this.#senders.delete(reject);
        resolve();
      });
      this.#senders.add(reject);
      this.#pump();
    });
  }

  /** Closes on purpose: the other side is told why. Resolves when all lanes are closed, within a second. */
  async close(reason: string): Promise<void> {
    if (this.#end(reason)) await this.#leave(reason);
  }

  /** What lanes need of this link. */
  readonly #user: LaneUser = {
    greeting: () => helloChunk({ due: this.#joiner.due, kept: this.#outbox.kept }),
    acknowledgement: (received) => this.#ack(received),
    onArrived: (sent) => this.#window.arrived(sent, performance.now(), this.#full),
    onCarried: (bytes, ms) => this.#gauge.carried(bytes, ms),
    onEcho: (bytes, ms) => {
      this.#gauge.echoed(bytes, ms);
      this.#measure();
    },
    onReady: (_, hello) => this.#welcome(hello),
    onChunk: (lane, chunk) => this.#take(lane, chunk),
    onRoom: () => this.#pump(),
    onOwnBytes: (bytes) => this.#options.onBytes(OWN_PURPOSE, bytes),
    onProbeBytes: (bytes) => this.#options.onBytes(PROBE_PURPOSE, bytes),
    onLost: (lane, reason) => this.#loseLane(lane, reason),
    onDamage: (reason) => this.#lose(`damaged: ${reason}`),
  };

  #welcome({ due, kept }: Hello): void {
    if (this.#state === "closed") return;
    // A page that has forgotten this link, or begun another of that name, cannot take part in it.
    if (distance(kept, this.#joiner.due) > WINDOW_FRAMES) {
      throw new ChunkError(`frame ${kept} is the first there, but frame ${this.#joiner.due} is due`);
    }
    this.#outbox.acknowledge(due);
    clearTimeout(this.#mending);
    if (this.#state === "connecting") {
      this.#state = "open";
      this.#options.onOpen();
    }
    this.#options.onLanes();
    this.#pump();
    this.#measure();
  }

  /** Goes on finding out how fast the link is, as soon as it has nothing to send. */
  #measure(): void {
    const [lane] = this.#ready();
    if (this.#state === "open" && lane?.quiet && this.#outbox.nextLength === 0) this.#gauge.probe(lane);
  }

  #take(lane: Lane, chunk: LinkChunk): void {
    if (this.#state === "closed") return;
    if (chunk.type === "frame") this.#takeFrame(lane, chunk);
    else if (chunk.type === "ack") this.#takeAck(chunk);
    else this.#farewell = chunk;
    // Other lanes may still bring frames from before the goodbye.
    if (this.#farewell && this.#farewell.frames === this.#joiner.due) this.#obeyFarewell(this.#farewell);
  }

  #takeFrame(lane: Lane, chunk: FrameChunk): void {
    const frames = this.#joiner.accept(chunk);
    if (this.#isWide) lane.acknowledge();
    this.#owedBytes += chunk.payload.length;
    this.#owedFrames += frames.length;
    // Before frames are delivered: whoever takes one may close the link.
    if (frames.length > 0 && (this.#owedBytes >= ACK_BYTES || this.#owedFrames >= ACK_FRAMES)) {
      this.#sayAck();
    } else if (this.#owedFrames > 0) {
      this.#ackTimer ??= setTimeout(() => {
        this.#ackTimer = undefined;
        this.#sayAck();
      }, ACK_MS);
    }
    for (const frame of frames) this.#options.onFrame(frame);
  }

  #takeAck({ due, lanes }: Ack): void {
    this.#outbox.acknowledge(due);
    if (lanes !== this.#wantedThere) {
      this.#wantedThere = lanes;
      this.#options.onLanes();
    }
    this.#pump();
  }

  #ack(received: number): Bytes {
    clearTimeout(this.#ackTimer);
    this.#ackTimer = undefined;
    this.#owedBytes = 0;
    this.#owedFrames = 0;
    return ackChunk({ due: this.#joiner.due, lanes: this.#gauge.wantedLanes, chunks: received });
  }

  /** On the lane with the least before it. */
  #sayAck(): void {
    this.#roomiest(this.#ready())?.acknowledge();
  }

  #pump(): void {
    if (this.#state !== "open") return;
    for (let length; (length = this.#outbox.nextLength) > 0;) {
      const usable = this.#usable();
      const lane = this.#roomiest(usable.filter((lane) => lane.hasRoom(length!)));
      this.#full = this.#isWide && inNetwork(usable) + length > this.#window.bytes;
      if (!lane || this.#full) break;
      this.#handFrame(lane, this.#outbox.take(lane, performance.now())!);
    }
    this.#gauge.watch();
  }

  #handFrame(lane: Lane, { chunk, frame }: { chunk: Bytes; frame: ArrayBuffer }): void {
    if (!lane.handFrame(chunk)) return;
    this.#gauge.handed(chunk.length);
    this.#options.onBytes(frameKind(frame) ?? OWN_PURPOSE, chunk.length);
  }

  /**
   * A lane may stall for seconds after losses: others that have nothing to do, spare
   * ones too, send what it has as well.
   */
  #rescue(): void {
    const now = performance.now();
    const { shortest } = this.#window;
    const before = now - (shortest === Infinity ? RESCUE_MS : Math.max(RESCUE_MS, RESCUE_TIMES * shortest));
    for (const lane of this.#ready()) {
      for (let taken; lane.underWay < RESCUE_BYTES && lane.ready;) {
        taken = this.#outbox.rescue(lane, before, now);
        if (!taken) break;
        this.#handFrame(lane, taken);
      }
    }
  }

  /** Whether lanes say what they brought: over a wide path, that tells how much it holds. */
  get #isWide(): boolean {
    return this.#options.mostLanes > 1;
  }

  #usable(): Lane[] {
    return this.#ready().slice(0, this.wantedLanes);
  }

  /** Lanes for frames: through the relay only when there is no other. */
  #ready(): Lane[] {
    const ready = [...this.#lanes].filter((lane) => lane.ready);
    const direct = ready.filter(({ relayed }) => !relayed);
    return direct.length > 0 ? direct : ready;
  }

  #roomiest(lanes: readonly Lane[]): Lane | undefined {
    return lanes.reduce<Lane | undefined>(
      (best, lane) => (best && best.load <= lane.load ? best : lane),
      undefined,
    );
  }

  #loseLane(lane: Lane, reason: string): void {
    this.#lanes.delete(lane);
    if (this.#lanes.size === 0) this.#onEmpty?.();
    if (this.#state === "closed") return;
    this.#outbox.lose(lane);
    this.#gauge.loseLane();
    if (this.#lanes.size === 0 && this.#farewell) return this.#obeyFarewell(this.#farewell);
    if (this.#state === "open" && this.#ready().length === 0) {
      clearTimeout(this.#mending);
      const { mendMs = MEND_MS } = this.#options;
      this.#mending = setTimeout(() => this.#lose(reason), mendMs);
    }
    this.#options.onLanes(reason);
    this.#pump();
  }

  #obeyFarewell({ reason }: Goodbye): void {
    const told = `closed by the other side: ${reason}`;
    if (!this.#end(told)) return;
    this.#closeLanes();
    this.#options.onClose(told);
  }

  #lose(reason: string): void {
    if (!this.#end(reason)) return;
    void this.#leave(reason);
    this.#options.onClose(reason);
  }

  /** False if the link was closed before. */
  #end(reason: string): boolean {
    if (this.#state === "closed") return false;
    this.#state = "closed";
    this.#closeReason = reason;
    clearTimeout(this.#ackTimer);
    clearTimeout(this.#mending);
    this.#gauge.stop();
    for (const reject of this.#senders) reject(new Error(`link closed: ${reason}`));
    this.#senders.clear();
    return true;
  }

  /** Says goodbye; the other side closes its lanes when it has read that, which closes ours. */
  async #leave(reason: string): Promise<void> {
    const [lane] = this.#ready();
    if (lane) {
      const empty = new Promise<void>((resolve) => {
        this.#onEmpty = resolve;
        setTimeout(resolve, GOODBYE_MS);
      });
      for (const other of this.#lanes) if (!other.ready) this.#closeLane(other);
      lane.say(goodbyeChunk({ frames: this.#outbox.handed, reason }));
      await empty;
    }
    this.#closeLanes();
  }

  #closeLanes(): void {
    for (const lane of this.#lanes) this.#closeLane(lane);
  }

  #closeLane(lane: Lane): void {
    this.#lanes.delete(lane);
    lane.close();
  }
}

/** Bytes that have left the browser's buffers and have not arrived. */
function inNetwork(lanes: readonly Lane[]): number {
  return lanes.reduce((sum, lane) => sum + Math.max(0, lane.underWay - lane.bufferedAmount), 0);
}
