// What the worker page shows: one value, replaced by session.ts, read by the page's components.
import { signal } from "@preact/signals";
import type { ByteCounts, Gpu } from "../../core/protocol/control.ts";

/**
 * checking: looking for a GPU; unsupported: there is none to use, or it hangs; form: waits for a site and token;
 * joining: talking to the server; idle: joined, no run; loading: fetching a stage and opening links;
 * tuning: searching for the kernels that are fastest at it; training; paused: by the person at this page;
 * refused: the server said no; left: by the person; disconnected: the server is gone, or this machine was
 * not able to go on; joins again by itself.
 */
export type Phase =
  | "checking"
  | "unsupported"
  | "form"
  | "joining"
  | "idle"
  | "loading"
  | "tuning"
  | "training"
  | "paused"
  | "refused"
  | "left"
  | "disconnected";

export interface WorkerState {
  readonly phase: Phase;
  /** What is wrong and how to mend it, for `unsupported`, `refused` and `disconnected`. */
  readonly problem: { readonly title: string; readonly advice: string } | null;
  readonly gpu: Gpu | null;
  /** What this worker was slowed to, GFLOP/s. */
  readonly pace: number | null;
  readonly site: string;
  readonly name: string;
  /** Id the server gave, such as "a-1". */
  readonly worker: string | null;
  readonly run: string | null;
  /** Blocks held, such as "blocks 0-1, embedding". */
  readonly holds: string | null;
  /** GPU memory the stage takes. */
  readonly stageBytes: number;
  readonly step: number;
  readonly steps: number;
  /** Tokens of the whole run a second, mean of the last steps this worker saw. */
  readonly tokensPerSecond: number;
  readonly bytes: ByteCounts;
  /** Workers that are reached only through the server's relay. */
  readonly relayed: readonly string[];
  /** Newest last, at most 100 lines. */
  readonly log: readonly string[];
}

export const state = signal<WorkerState>({
  phase: "checking",
  problem: null,
  gpu: null,
  pace: null,
  site: "",
  name: "",
  worker: null,
  run: null,
  holds: null,
  stageBytes: 0,
  step: 0,
  steps: 0,
  tokensPerSecond: 0,
  bytes: { site: {}, wide: {} },
  relayed: [],
  log: [],
});

/** Changes some of the state. */
export function update(changes: Partial<WorkerState>): void {
  state.value = { ...state.value, ...changes };
}

export function note(line: string): void {
  const time = new Date().toTimeString().slice(0, 8);
  update({ log: [...state.value.log.slice(-99), `${time} ${line}`] });
}
