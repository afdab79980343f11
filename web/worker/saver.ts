// This worker's part in a checkpoint on its way: drafted between two steps, uploaded beside those that follow. One at a
// time, so that memory holds no second. It outlives its generation, since what was drafted does not change any more.
// Not here: what a shard holds (stage-state.ts), when the checkpoint counts (server/saves.ts).
import { errorText } from "../../core/protocol/control.ts";
import type { BlobClient } from "./blobs.ts";
import type { ShardDraft } from "./stage-state.ts";
import type { Order } from "./worker-messages.ts";
import type { TrainerReport } from "./worker-messages.ts";

type Save = Pick<Order<"save">, "generation" | "step">;

interface UnderWay {
  readonly run: string;
  readonly abort: AbortController;
}

export class Saver {
  readonly #report: (report: TrainerReport) => void;
  #underWay: UnderWay | null = null;

  constructor(report: (report: TrainerReport) => void) {
    this.#report = report;
  }

  get isBusy(): boolean {
    return this.#underWay !== null;
  }

  /** Resolves when the stage may go on. What comes of it is reported, unless it is dropped. */
  async begin(
    order: Order<"save">,
    run: string,
    draft: () => Promise<ShardDraft>,
    blobs: Pick<BlobClient, "put">,
  ): Promise<void> {
    this.drop();
    const underWay = { run, abort: new AbortController() };
    this.#underWay = underWay;
    const drafted = draft();
    void this.#finish(order, drafted, blobs, underWay);
    await drafted.catch(() => {});
  }

  /** Another run is none of its business. */
  dropUnlessOf(run: string): void {
    if (this.#underWay?.run !== run) this.drop();
  }

  /** Nobody waits for it any more. */
  drop(): void {
    this.#underWay?.abort.abort();
    this.#underWay = null;
  }

  async #finish(
    { generation, step }: Save,
    drafted: Promise<ShardDraft>,
    blobs: Pick<BlobClient, "put">,
    underWay: UnderWay,
  ): Promise<void> {
    const { signal } = underWay.abort;
    const report = await drafted
      .then((draft) => {
        signal.throwIfAborted();
        return draft.upload(blobs, signal);
      })
      .then(
        (shard): TrainerReport => ({ type: "saved", generation, step, shard }),
        (error: unknown): TrainerReport => unsaved({ generation, step }, error),
      );
    if (signal.aborted) return;
    this.#underWay = null;
    this.#report(report);
  }
}

/** The answer to an order to save that cannot be carried out. */
export function unsaved({ generation, step }: Save, error: unknown): TrainerReport {
  return { type: "unsaved", generation, step, reason: errorText(error) };
}
