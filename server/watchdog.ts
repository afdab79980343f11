// Finds out whom a run would wait for in vain. Who owes an answer is asked now and then whether it is alive, and what it
// does; how long that goes on is nobody's business as long as it does something. Counted in checks, not in time: a server
// that slept, or was busy, holds it against nobody.
// Not here: sockets that are gone without a word (liveness.ts), what the run does without the worker (run.ts).
import type { Doing } from "../core/protocol/control.ts";
import type { WorkerPort } from "./coordinator-port.ts";

export const CHECK_MS = 5_000;

/** Checks in a row: without an answer, as when a thread is frozen or in an endless loop... */
export const MOST_SILENT = 36;
/** ...with a GPU that has work and finishes nothing, where no piece of work should take more than a moment... */
export const MOST_STALLED = 60;
/** ...and with everybody waiting for somebody else. */
export const MOST_WAITING = 60;

const minutes = (checks: number) => `${(checks * CHECK_MS) / 60_000} minutes`;

interface Watched {
  /** To the check under way. */
  answer: Doing | "silent";
  /** To those before it, and how many in a row that was. */
  past: Doing | "silent";
  times: number;
}

export interface WatchdogParts {
  /** Whose answers are waited for. */
  readonly owing: () => readonly WorkerPort[];
  /** Of the generation. */
  readonly members: () => readonly WorkerPort[];
  /** All of them wait for something that does not come. */
  readonly onDeadlock: (reason: string) => void;
}

export class Watchdog {
  readonly #parts: WatchdogParts;
  readonly #watched = new Map<string, Watched>();
  #timer: NodeJS.Timeout | undefined;

  constructor(parts: WatchdogParts) {
    this.#parts = parts;
  }

  start(): void {
    this.#timer = setInterval(() => this.#check(), CHECK_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** The worker's answer to a check. */
  alive(worker: string, doing: Doing): void {
    const watched = this.#watched.get(worker);
    if (watched) watched.answer = doing;
  }

  /** It has done what it was asked to: whatever it is asked next, it has all the time for it. */
  answered(worker: string): void {
    this.#watched.delete(worker);
  }

  #check(): void {
    const owing = byId(this.#parts.owing());
    const asked = new Map([...(this.#allWait(owing) ? byId(this.#parts.members()) : []), ...owing]);
    for (const worker of this.#watched.keys()) if (!asked.has(worker)) this.#watched.delete(worker);
    for (const [worker, port] of asked) {
      const watched = this.#watched.get(worker);
      if (watched) count(watched);
      else this.#watched.set(worker, { answer: "silent", past: "silent", times: 0 });
      port.send({ type: "check" });
    }
    const all = [...this.#watched];
    for (const [worker, { past, times }] of all) {
      const reason = reasonToDismiss(past, times);
      if (reason) owing.get(worker)?.dismiss(reason);
    }
    if (all.length > 0 && all.every(([, { past, times }]) => past === "waiting" && times >= MOST_WAITING)) {
      this.#watched.clear();
      const names = all.map(([worker]) => worker).join(", ");
      this.#parts.onDeadlock(`for ${minutes(MOST_WAITING)} nobody did anything but wait: ${names}`);
    }
  }

  /** Then those who have done their part are asked as well: what is waited for may be on its way from one of them. */
  #allWait(owing: ReadonlyMap<string, WorkerPort>): boolean {
    return owing.size > 0 && [...owing.keys()].every((id) => this.#watched.get(id)?.past === "waiting");
  }
}

const byId = (ports: readonly WorkerPort[]) => new Map(ports.map((port) => [port.id, port]));

function count(watched: Watched): void {
  watched.times = watched.answer === watched.past ? watched.times + 1 : 1;
  watched.past = watched.answer;
  watched.answer = "silent";
}

function reasonToDismiss(past: Watched["past"], times: number): string | null {
  if (past === "silent" && times >= MOST_SILENT) return `the page did not answer for ${minutes(MOST_SILENT)}`;
  if (past === "stalled" && times >= MOST_STALLED)
    return `the GPU finished nothing for ${minutes(MOST_STALLED)}`;
  return null;
}
