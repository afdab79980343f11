// A run in figures: what its workers have sent and how they have spent their time, added up from their reports; and what
// its course has come to so far.
// Not here: the course itself (run.ts).
import type { ByteCounts, ClientMessage, Times } from "../core/protocol/control.ts";
import type { DoneEvent, WorkerTally } from "../core/protocol/events.ts";

type Report = Extract<ClientMessage, { generation: number }>;

const NO_TIMES: Times = { passed: 0, waited: 0, exchanging: 0, exposed: 0 };

export class Tally {
  /** The newest. */
  loss: number | null = null;
  validLoss: number | null = null;
  stepsRetried = 0;
  stepsLeftOut = 0;
  workersLost = 0;
  activationBytesNeeded = 0;
  /** Counts that pages keep themselves: the newest stands. */
  readonly #bytes = new Map<string, ByteCounts>();
  /** Times since the report before: they are summed. */
  readonly #times = new Map<string, Times>();

  take(worker: string, report: Report): void {
    if ("bytes" in report) this.#bytes.set(worker, report.bytes);
    if ("times" in report && report.times) this.#times.set(worker, plus(this.timesOf(worker), report.times));
  }

  timesOf(worker: string): Times {
    return this.#times.get(worker) ?? NO_TIMES;
  }

  /** Bytes on data channels, by purpose. */
  bytesBy(kind: "site" | "wide"): Record<string, number> {
    const sums: Record<string, number> = {};
    for (const counts of this.#bytes.values()) {
      for (const [purpose, bytes] of Object.entries(counts[kind]))
        sums[purpose] = (sums[purpose] ?? 0) + bytes;
    }
    return sums;
  }

  byWorker(): Record<string, WorkerTally> {
    const workers = [...this.#bytes].map(([worker, { site, wide }]) => {
      const tally = {
        siteBytes: total(site),
        wideBytes: total(wide),
        computing: computing(this.timesOf(worker)),
      };
      return [worker, tally] as const;
    });
    return Object.fromEntries(workers);
  }

  /** Share of their time in which workers computed; null before the first step. */
  get computing(): number | null {
    return computing(this.#allTimes());
  }

  /** Share of the time of exchanges between sites in which workers computed meanwhile; null without any. */
  get overlapped(): number | null {
    const { exchanging, exposed } = this.#allTimes();
    // An exchange may end just before it is waited for: clocks say when, not why.
    return exchanging > 0 ? Math.max(0, 1 - exposed / exchanging) : null;
  }

  get figures(): Omit<DoneEvent, "event" | "run" | "steps" | "checkpoint"> {
    const site = this.bytesBy("site");
    const wide = this.bytesBy("wide");
    return {
      loss: this.loss,
      validLoss: this.validLoss,
      siteBytes: total(site),
      wideBytes: total(wide),
      siteBytesBy: site,
      wideBytesBy: wide,
      byWorker: this.byWorker(),
      computing: this.computing,
      overlapped: this.overlapped,
      activationBytesNeeded: this.activationBytesNeeded,
      stepsRetried: this.stepsRetried,
      stepsLeftOut: this.stepsLeftOut,
      workersLost: this.workersLost,
    };
  }

  #allTimes(): Times {
    return [...this.#times.values()].reduce(plus, NO_TIMES);
  }
}

function computing({ passed, waited }: Times): number | null {
  return passed > 0 ? Math.max(0, 1 - waited / passed) : null;
}

function plus(a: Times, b: Times): Times {
  return {
    passed: a.passed + b.passed,
    waited: a.waited + b.waited,
    exchanging: a.exchanging + b.exchanging,
    exposed: a.exposed + b.exposed,
  };
}

function total(by: Record<string, number>): number {
  return Object.values(by).reduce((sum, bytes) => sum + bytes, 0);
}
