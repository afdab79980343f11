// What the coordinator page knows: what the server last said, and the events of the run on show.
import { computed, signal } from "@preact/signals";
import type { RunEvent, Snapshot } from "../../core/protocol/events.ts";

export type Connection = "no token" | "connecting" | "open" | "lost" | { readonly refused: string };

export const token = signal(new URLSearchParams(location.hash.slice(1)).get("token") ?? "");
export const connection = signal<Connection>(token.value ? "connecting" : "no token");
export const snapshot = signal<Snapshot>({ workers: [], run: null });
export const workerToken = signal("");
/** Events of the latest run, oldest first. */
export const events = signal<readonly RunEvent[]>([]);

type Kind = RunEvent["event"];
const of = <K extends Kind>(kind: K) =>
  computed(() =>
    events.value.filter((event): event is Extract<RunEvent, { event: K }> => event.event === kind),
  );

const allSteps = of("step");
/** One entry a step: a step that was done again counts as it was done last. */
export const steps = computed(() => [
  ...new Map(allSteps.value.map((event) => [event.step, event])).values(),
]);
export const validations = of("valid");
export const samples = of("sample");
