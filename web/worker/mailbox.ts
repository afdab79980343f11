// Where frames wait for the code that wants them, and the code for its frames.
import type { Frame, FrameKind } from "../../core/protocol/frame.ts";

/** What tells one frame of a generation from another. */
export interface FrameKey {
  readonly from: string;
  readonly kind: FrameKind;
  readonly step: number;
  readonly microbatch: number;
  readonly segment: number;
}

/** The generation ended while something was still waited for: not a fault, the waiter just stops. */
export class GenerationEnded extends Error {
  override name = "GenerationEnded";
}

export class Mailbox {
  readonly #arrived = new Map<string, Frame>();
  readonly #waiting = new Map<string, { resolve: (frame: Frame) => void; reject: (reason: Error) => void }>();
  #closed: GenerationEnded | null = null;

  deliver(from: string, frame: Frame): void {
    const key = keyText({ from, ...frame });
    const waiter = this.#waiting.get(key);
    this.#waiting.delete(key);
    if (waiter) waiter.resolve(frame);
    else this.#arrived.set(key, frame);
  }

  /** The frame with this key, once. @throws GenerationEnded when the mailbox is closed first */
  receive(key: FrameKey): Promise<Frame> {
    if (this.#closed) return Promise.reject(this.#closed);
    const text = keyText(key);
    const frame = this.#arrived.get(text);
    this.#arrived.delete(text);
    if (frame) return Promise.resolve(frame);
    return new Promise((resolve, reject) => this.#waiting.set(text, { resolve, reject }));
  }

  /** What is waited for from `from` does not come: those who wait for it are told. */
  lose(from: string, error: Error): void {
    for (const [key, { reject }] of this.#waiting) {
      if (!key.startsWith(`${from} `)) continue;
      this.#waiting.delete(key);
      reject(error);
    }
  }

  close(reason: string): void {
    this.#closed = new GenerationEnded(reason);
    for (const { reject } of this.#waiting.values()) reject(this.#closed);
    this.#waiting.clear();
    this.#arrived.clear();
  }
}

function keyText({ from, kind, step, microbatch, segment }: FrameKey): string {
  return `${from} ${kind} ${step} ${microbatch} ${segment}`;
}
