// What the control socket and the coordinator know of each other.
import type { RunConfig } from "../core/model/config.ts";
import type { ClientMessage, Gpu, WorkerMessage } from "../core/protocol/control.ts";
import type { History, RunEvent, Snapshot } from "../core/protocol/events.ts";

/** A connected worker, as the coordinator sees it. */
export interface WorkerPort {
  readonly id: string;
  readonly site: string;
  readonly name: string;
  readonly gpu: Gpu;
  send(message: WorkerMessage): void;
  /** Closes its connection, and tells the person at its page why; `Coordinator.leave` follows at once. */
  dismiss(reason: string): void;
}

/** "snapshot": ask for a new one. */
export type CoordinatorUpdate = { type: "snapshot" } | { type: "event"; run: string; event: RunEvent };

/** Methods throw UserError when what they are asked cannot be done. */
export interface Coordinator {
  join(worker: WorkerPort): void;
  leave(worker: string, reason: string): void;
  message(worker: string, message: ClientMessage): void;
  /** Returns the run's id once its text is read; the run then goes on by itself. */
  start(config: RunConfig): Promise<string>;
  stop(run: string): Promise<void>;
  pause(run: string): void;
  resume(run: string): void;
  snapshot(): Snapshot;
  history(): History;
  /** Returns how to end it. */
  subscribe(listener: (update: CoordinatorUpdate) => void): () => void;
  /** A file of the run's latest checkpoint as a Hugging Face directory; null when there is no such file. */
  exportFile(run: string, name: string): Promise<Uint8Array | null>;
}
