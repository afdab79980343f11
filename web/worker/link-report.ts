// What the server is told of this worker's links: all of them in each generation, and again when one has come to be
// clearly faster or slower.
import type { LinkFigure, PeerSpeed } from "../../core/plan/speed.ts";
import { MOST_PEERS } from "../../core/protocol/control.ts";

/** A change by less than this factor is no news, nor is one of a delay by less than this many seconds. */
export const NEWS = 1.2;
const NEWS_DELAY = 0.001;

export class LinkReport {
  /** Of which run, since each counts its own. */
  #generation = "";
  #told: ReadonlyMap<string, LinkFigure> = new Map();

  /** What to say now; undefined when the server knows it. */
  due(run: string, number: number, speeds: ReadonlyMap<string, LinkFigure>): PeerSpeed[] | undefined {
    const generation = `${run} ${number}`;
    const isNew = [...speeds].some(([peer, speed]) => {
      const before = this.#told.get(peer);
      return !before || isNews(before, speed);
    });
    if (speeds.size === 0 || (generation === this.#generation && !isNew)) return undefined;
    this.#generation = generation;
    this.#told = new Map(speeds);
    return [...speeds].slice(0, MOST_PEERS).map(([peer, speed]) => ({ ...speed, peer }));
  }
}

function isNews(before: LinkFigure, now: LinkFigure): boolean {
  const differ = (a: number, b: number) => Math.max(a, b) > NEWS * Math.min(a, b);
  return (
    before.filled !== now.filled ||
    differ(before.bytesPerSecond, now.bytesPerSecond) ||
    (differ(before.delay, now.delay) && Math.abs(before.delay - now.delay) > NEWS_DELAY)
  );
}
