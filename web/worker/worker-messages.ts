// What the page and its dedicated training worker say to each other. Both are ours and built together, so these
// are plain types: what came from outside was checked where it came in.
import type { WorkerSpeed } from "../../core/plan/speed.ts";
import type { ClientMessage, Doing, Gpu, WorkerMessage } from "../../core/protocol/control.ts";

/** Orders of the server's. */
export type Assignment = Extract<WorkerMessage, { type: "assign" }>;
export type Order<T extends WorkerMessage["type"]> = Extract<WorkerMessage, { type: T }>;

/** Messages of the training worker to the server lack the byte counts, which only the page's links know. */
type WithoutBytes<M> = M extends { bytes: unknown } ? Omit<M, "bytes"> : M;
export type TrainerReport = WithoutBytes<
  Extract<
    ClientMessage,
    {
      type:
        | "prepared"
        | "ready"
        | "validated"
        | "sampled"
        | "saved"
        | "exchanged"
        | "unsaved"
        | "merged"
        | "repaired"
        | "renewed"
        | "held"
        | "released"
        | "failed";
    }
  >
>;

/** An order of the server's that is not the page's alone to carry out. */
export type TrainerOrder = Exclude<Extract<WorkerMessage, { generation: number }>, { type: "lend" }>;

export type ToTrainer =
  /**
   * Find a GPU; answered with `gpu` or `unsupported`. `tune`: search for the fastest kernels before training. `pace`: be
   * no faster than this, GFLOP/s.
   */
  | { type: "start"; tune: boolean; pace: number | null }
  /** A new pace, where there was one from the start. */
  | { type: "pace"; pace: number }
  | { type: "joined"; worker: string; token: string }
  | { type: "order"; order: TrainerOrder }
  | { type: "frame"; from: string; frame: ArrayBuffer }
  /** Answered with `alive`. */
  | { type: "check" }
  /** The link to `peer` broke before the first step: what was on its way is lost. */
  | { type: "broken"; peer: string; reason: string }
  /** The server or a link is gone: end the generation. */
  | { type: "abandon"; reason: string };

export type FromTrainer =
  | { type: "gpu"; gpu: Gpu }
  | { type: "unsupported"; title: string; advice: string }
  /** The device is gone; a new one is looked for, and answered with `gpu` or `unsupported`. */
  | { type: "lost"; reason: string }
  /** GPU memory that the stage just assigned will take. */
  | { type: "needs"; stageBytes: number }
  /** A search for the fastest kernels began, or ended. */
  | { type: "tuning"; searching: boolean }
  /** How fast this worker is, before it has trained. */
  | { type: "speed"; speed: WorkerSpeed }
  /** The GPU cannot keep the pace it was told: it reaches this share. Once. */
  | { type: "behind"; share: number }
  | { type: "alive"; doing: Doing }
  | { type: "report"; report: TrainerReport }
  | { type: "frame"; to: string; frame: ArrayBuffer };
