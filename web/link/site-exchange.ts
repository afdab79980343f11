// How pages of one site meet: our own server carries their signals over the control WebSocket.
// Not here: an open connection (site-carrier.ts), who is to be connected with whom (switchboard.ts).
import type { SignalData } from "simple-peer";
import { z } from "zod";
import type { Exchange, ExchangeOptions } from "./carrier.ts";
import { SiteCarrier } from "./site-carrier.ts";

/** Kept of a call until it is answered; an offer and its candidates are fewer. */
const MAX_WAITING_SIGNALS = 100;

/** What two pages tell each other through the server. `call` tells one call from the ones before it. */
const Signal = z.strictObject({
  call: z.uuid(),
  link: z.uuid(),
  fromCaller: z.boolean(),
  signal: z.union([
    z.strictObject({ type: z.enum(["offer", "answer"]), sdp: z.string() }),
    z.strictObject({
      type: z.literal("candidate"),
      candidate: z.strictObject({
        candidate: z.string(),
        sdpMLineIndex: z.number().int().min(0).nullable(),
        sdpMid: z.string().nullable(),
      }),
    }),
  ]),
});
type Signal = z.infer<typeof Signal>;

interface Call {
  readonly id: string;
  readonly link: string;
  /** Absent while a call from the other side waits for its answer. */
  carrier?: SiteCarrier;
  readonly waiting: Signal["signal"][];
}

export interface SiteExchangeOptions extends ExchangeOptions {
  /** Has the server carry `data` to another worker. It must keep the order. */
  readonly sendSignal: (to: string, data: string) => void;
}

export class SiteExchange implements Exchange {
  readonly trouble = undefined;
  readonly #options: SiteExchangeOptions;
  /** The latest call with each peer, whoever called: a site link takes one at a time. */
  readonly #calls = new Map<string, Call>();

  constructor(options: SiteExchangeOptions) {
    this.#options = options;
  }

  call(peer: string, link: string): SiteCarrier {
    const call: Call = { id: crypto.randomUUID(), link, waiting: [] };
    this.#calls.set(peer, call);
    return this.#join(peer, call, true);
  }

  called(peer: string): string | undefined {
    const call = this.#calls.get(peer);
    return call?.carrier ? undefined : call?.link;
  }

  answer(peer: string): SiteCarrier | undefined {
    const call = this.#calls.get(peer);
    return call && !call.carrier ? this.#join(peer, call, false) : undefined;
  }

  /** A signal of `from`, as the server brought it. What is malformed, or of a call that is over, is dropped. */
  signal(from: string, data: string): void {
    const parsed = Signal.safeParse(parseJson(data));
    if (!parsed.success) return;
    const { call: id, link, fromCaller, signal } = parsed.data;
    const current = this.#calls.get(from);
    if (current?.id === id) {
      if (current.carrier) current.carrier.signal(signal as SignalData);
      else if (current.waiting.length < MAX_WAITING_SIGNALS) current.waiting.push(signal);
    } else if (fromCaller) {
      this.#calls.set(from, { id, link, waiting: [signal] });
      this.#options.onCall(from);
    }
  }

  close(): void {
    this.#calls.clear();
  }

  #join(peer: string, call: Call, caller: boolean): SiteCarrier {
    const carrier = new SiteCarrier(caller, this.#options.iceServers, (signal) => {
      if (this.#calls.get(peer) !== call) return; // a late word of a call before would seem a new one
      const message = { call: call.id, link: call.link, fromCaller: caller, signal };
      this.#options.sendSignal(peer, JSON.stringify(message));
    });
    call.carrier = carrier;
    for (const signal of call.waiting) carrier.signal(signal as SignalData);
    return carrier;
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
