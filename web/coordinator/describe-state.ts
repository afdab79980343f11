// States of runs and workers in words.
import type { RunStatus } from "../../core/protocol/events.ts";
import type { Tone } from "../ui/state-label.tsx";

const RUN_STATES: Readonly<Record<RunStatus, { readonly words: string; readonly tone: Tone }>> = {
  waiting: { words: "Waiting for workers", tone: "calm" },
  preparing: { words: "Loading the model", tone: "busy" },
  training: { words: "Training", tone: "busy" },
  paused: { words: "Paused", tone: "calm" },
  done: { words: "Done", tone: "calm" },
  stopped: { words: "Stopped", tone: "calm" },
  failed: { words: "Failed", tone: "wrong" },
};

export function describeRunState(status: RunStatus): { readonly words: string; readonly tone: Tone } {
  return RUN_STATES[status];
}

export function isEnded(status: RunStatus): boolean {
  return status === "done" || status === "stopped" || status === "failed";
}

/** Words of the server for a worker's state are shown as they are. */
export function describeWorkerState(state: string): { readonly words: string; readonly tone: Tone } {
  return { words: state, tone: state === "training" || state === "preparing" ? "busy" : "calm" };
}
