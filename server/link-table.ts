// How fast the links between workers are, by pair of workers and direction, as they last said.
// Not here: what follows for a plan (core/plan/link-speeds.ts).
import type { MeasuredLink } from "../core/plan/link-speeds.ts";
import type { PeerSpeed } from "../core/plan/speed.ts";
import { LINKS_SHOWN } from "../core/protocol/events.ts";

export class LinkTable {
  readonly #links = new Map<string, Map<string, MeasuredLink>>();
  /** Generations of the runs before: each run counts its own from 1. */
  #before = 0;
  #latest = 0;

  beginRun(): void {
    this.#before = this.#latest;
  }

  /** A link that is not told of any more stays known: its workers may be linked again. */
  take(from: string, generation: number, speeds: readonly PeerSpeed[]): void {
    const links = this.#links.get(from) ?? new Map<string, MeasuredLink>();
    const counted = this.#before + generation;
    this.#latest = Math.max(this.#latest, counted);
    for (const { peer, ...speed } of speeds) links.set(peer, { from, to: peer, generation: counted, speed });
    this.#links.set(from, links);
  }

  /** The worker is gone. */
  forget(worker: string): void {
    this.#links.delete(worker);
    for (const links of this.#links.values()) links.delete(worker);
  }

  all(): MeasuredLink[] {
    return [...this.#links.values()].flatMap((links) => [...links.values()]);
  }

  /** What people are shown of a worker's links. */
  of(worker: string): PeerSpeed[] {
    const links = [...(this.#links.get(worker)?.values() ?? [])].slice(0, LINKS_SHOWN);
    return links.map(({ to, speed }) => ({ ...speed, peer: to }));
  }
}
