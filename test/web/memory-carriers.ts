// Carriers that are only memory, for tests of links: what is sent counts as buffered until the test delivers it.
import { Carrier } from "../../web/link/carrier.ts";
import { Link, type LinkOptions } from "../../web/link/link.ts";

export class MemoryCarrier extends Carrier {
  override readonly relayed: boolean;
  override readonly open = true;
  override readonly heard = true;
  override readonly addressed = true;
  other: MemoryCarrier | undefined;
  readonly unsent: Uint8Array[] = [];
  mostBuffered = 0;
  closed = false;

  constructor(relayed = false) {
    super();
    this.relayed = relayed;
  }

  override get bufferedAmount(): number {
    return this.unsent.reduce((sum, chunk) => sum + chunk.length, 0);
  }

  override send(chunk: Uint8Array): void {
    if (this.closed) throw new Error("closed");
    this.unsent.push(chunk);
    this.mostBuffered = Math.max(this.mostBuffered, this.bufferedAmount);
  }

  override close(): void {
    this.closed = true;
    const { other } = this;
    this.other = undefined;
    other?.onClose("the channel was closed");
  }

  /** Brings the first `count` messages to the other side, if there is one. */
  deliver(count = Infinity): void {
    for (const chunk of this.unsent.splice(0, count)) this.other?.onChunk(chunk);
    if (!this.closed) this.onLow();
  }
}

export interface End {
  link: Link;
  carriers: MemoryCarrier[];
  opened: number;
  frames: ArrayBuffer[];
  closed: string[];
  lost: string[];
  bytes: Record<string, number>;
}

export function end(options: Partial<LinkOptions> = {}): End {
  const end: Omit<End, "link"> = { carriers: [], opened: 0, frames: [], closed: [], lost: [], bytes: {} };
  const link = new Link({
    mostLanes: 1,
    onOpen: () => end.opened++,
    onFrame: (frame) => end.frames.push(frame),
    onClose: (reason) => end.closed.push(reason),
    onBytes: (purpose, bytes) => (end.bytes[purpose] = (end.bytes[purpose] ?? 0) + bytes),
    onLanes: (lost) => lost !== undefined && end.lost.push(lost),
    ...options,
  });
  return Object.assign(end, { link });
}

/** One more carrier between the two. */
export function join(a: End, b: End, relayed = false): [MemoryCarrier, MemoryCarrier] {
  const ends: [MemoryCarrier, MemoryCarrier] = [new MemoryCarrier(relayed), new MemoryCarrier(relayed)];
  [ends[0].other, ends[1].other] = [ends[1], ends[0]];
  a.carriers.push(ends[0]);
  b.carriers.push(ends[1]);
  a.link.add(ends[0]);
  b.link.add(ends[1]);
  return ends;
}

export function linked(options: Partial<LinkOptions> = {}, carriers = 1): [End, End] {
  const [a, b] = [end(options), end(options)];
  for (let i = 0; i < carriers; i++) join(a, b);
  flush(a, b);
  return [a, b];
}

/** Delivers until nothing is on its way. */
export function flush(...ends: End[]): void {
  const all = () => ends.flatMap(({ carriers }) => carriers).filter(({ unsent }) => unsent.length > 0);
  for (let some; (some = all()).length > 0;) for (const carrier of some) carrier.deliver();
}
