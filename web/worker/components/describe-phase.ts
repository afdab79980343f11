// A phase of the worker in words.
import type { Tone } from "../../ui/state-label.tsx";
import type { Phase } from "../state.ts";

export const PHASES: Readonly<Record<Phase, { readonly words: string; readonly tone: Tone }>> = {
  checking: { words: "Looking for a GPU", tone: "calm" },
  unsupported: { words: "Cannot take part", tone: "wrong" },
  form: { words: "Ready to join", tone: "calm" },
  joining: { words: "Joining", tone: "calm" },
  idle: { words: "Waiting for a run", tone: "calm" },
  loading: { words: "Loading its part of the model", tone: "busy" },
  tuning: { words: "Tuning kernels", tone: "busy" },
  training: { words: "Training", tone: "busy" },
  paused: { words: "Paused", tone: "calm" },
  refused: { words: "Refused", tone: "wrong" },
  left: { words: "Left", tone: "calm" },
  disconnected: { words: "Not connected", tone: "wrong" },
};
