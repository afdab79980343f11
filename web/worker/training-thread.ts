// The page's dedicated worker, in which all computing is done: begun, spoken with, and begun anew where it hangs.
// Not here: what it does (training.worker.ts).
import type { FromTrainer, ToTrainer } from "./worker-messages.ts";

type Start = Omit<Extract<ToTrainer, { type: "start" }>, "type">;

export class TrainingThread {
  readonly #onMessage: (message: FromTrainer) => void;
  readonly #onFailure: (message: string) => void;
  #worker: Worker | null = null;

  constructor(onMessage: (message: FromTrainer) => void, onFailure: (message: string) => void) {
    this.#onMessage = onMessage;
    this.#onFailure = onFailure;
  }

  /** A fresh one, whatever the one before is at. */
  start(start: Start): void {
    this.end();
    const worker = new Worker(new URL("./training.worker.ts", import.meta.url), { type: "module" });
    worker.addEventListener("message", ({ data }: MessageEvent<FromTrainer>) => {
      // One that has ended may have said more before.
      if (worker === this.#worker) this.#onMessage(data);
    });
    worker.addEventListener("error", ({ message }) => this.#onFailure(message));
    this.#worker = worker;
    this.say({ type: "start", ...start });
  }

  say(message: ToTrainer, transfer: Transferable[] = []): void {
    this.#worker?.postMessage(message, transfer);
  }

  end(): void {
    this.#worker?.terminate();
    this.#worker = null;
  }
}
