// The links to other workers that a generation needs, and what is on its way over them. They are opened before its first
// step, and anew where one breaks until then: the other side gave it up with the generation before. After that a break is
// a loss.
// Not here: how a link is made and mended (web/link/switchboard.ts), who is told (session.ts).
import { linksOf, type Plan, type PlannedLink } from "../../core/plan/plan.ts";
import type { Switchboard } from "../link/switchboard.ts";
import { note } from "./state.ts";

export interface PeerLinksParts {
  /** This worker. */
  readonly self: string;
  readonly switchboard: Pick<Switchboard, "connect" | "send">;
  /** The generation cannot go on. */
  readonly onLost: (generation: number, why: unknown) => void;
  /** What the training worker waits for may have been to come over it. */
  readonly onBroken: (peer: string, reason: string) => void;
}

export class PeerLinks {
  readonly #parts: PeerLinksParts;
  #phase: "idle" | "keeping" | "opening" | "stepping" = "idle";
  #generation = 0;
  /** The plan's. */
  #needed: readonly PlannedLink[] = [];
  /** Those on which states move to this worker or from it. */
  #moving: readonly PlannedLink[] = [];
  /** Sends of the generation, until a channel has taken them. */
  #sending = new Set<Promise<void>>();

  constructor(parts: PeerLinksParts) {
    this.#parts = parts;
  }

  /** Opens the links of a generation. Whether they are open. */
  begin(generation: number, plan: Plan, moving: readonly PlannedLink[]): Promise<boolean> {
    this.#phase = "opening";
    this.#needed = linksOf(plan);
    this.#sending = new Set();
    return this.#open(generation, moving);
  }

  /** The generation is over; what this worker keeps of it may be needed yet. */
  keep(): void {
    this.#phase = "keeping";
  }

  /** Opens links on which others take what this worker keeps. Whether they are open. */
  lend(generation: number, moving: readonly PlannedLink[]): Promise<boolean> {
    this.#needed = [];
    return this.#open(generation, moving);
  }

  /** The generation trains from here on. An order that comes after its end changes nothing. */
  step(): void {
    if (this.#phase === "opening") this.#phase = "stepping";
  }

  end(): void {
    this.#phase = "idle";
  }

  send(peer: string, frame: ArrayBuffer): void {
    const sending = this.#sending;
    const sent = this.#parts.switchboard
      .send(peer, frame)
      .catch((error: unknown) => this.broke(peer, String(error)))
      .finally(() => sending.delete(sent));
    sending.add(sent);
  }

  get isSending(): boolean {
    return this.#sending.size > 0;
  }

  /** Resolves when channels have taken all that the generation has sent so far. */
  async sent(): Promise<void> {
    await Promise.all(this.#sending);
  }

  broke(peer: string, reason: string): void {
    note(`the link to ${peer} broke: ${reason}`);
    const { onBroken, onLost } = this.#parts;
    const isNeeded = this.#needed.some((link) => this.#connects(link, peer));
    if (this.#phase === "stepping") {
      if (isNeeded) onLost(this.#generation, `link to ${peer}: ${reason}`);
      return;
    }
    if (this.#phase === "idle") return;
    onBroken(peer, reason);
    if (this.#phase === "keeping") return;
    if (isNeeded) void this.#open(this.#generation, this.#moving);
    else this.#moving = this.#moving.filter((link) => !this.#connects(link, peer));
  }

  async #open(generation: number, moving: readonly PlannedLink[]): Promise<boolean> {
    this.#generation = generation;
    this.#moving = moving;
    try {
      await this.#parts.switchboard.connect([...this.#needed, ...moving]);
      return true;
    } catch (error) {
      this.#parts.onLost(generation, error);
      return false;
    }
  }

  /** Whether the link is this worker's with `peer`. */
  #connects({ initiator, other }: PlannedLink, peer: string): boolean {
    const { self } = this.#parts;
    return (initiator === self && other === peer) || (initiator === peer && other === self);
  }
}
