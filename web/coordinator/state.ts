// What the coordinator page knows: what the server last said, and the configuration of the next run.
import { computed, signal } from "@preact/signals";
import demo from "../../core/model/demo.json";
import type { RunEvent, Snapshot } from "../../core/protocol/events.ts";
import { resultsOf } from "./run-log.ts";

export type Connection =
  | { readonly kind: "no token" | "connecting" | "open" }
  | { readonly kind: "lost"; readonly retrySeconds: number }
  | { readonly kind: "refused"; readonly reason: string };

/** The owner's token, from the address. */
export const token = signal(new URLSearchParams(location.hash.slice(1)).get("token") ?? "");
export const connection = signal<Connection>({ kind: token.value ? "connecting" : "no token" });
export const snapshot = signal<Snapshot>({ workers: [], run: null });
export const workerToken = signal("");
/** Events of the latest run, oldest first. */
export const events = signal<readonly RunEvent[]>([]);
export const results = computed(() => resultsOf(events.value));
/** JSON of the next run's configuration, as it is being written. */
export const configText = signal(JSON.stringify(demo, null, 2));
