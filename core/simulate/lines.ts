// What sites' lines carry when: their rates are drawn anew at fixed times, from the seed, the site and the time alone.
import type { Variation } from "../plan/cluster.ts";
import { FREE_LINK } from "../plan/measured.ts";
import type { LinkSpeed } from "../plan/speed.ts";
import { hashText, Random } from "../random.ts";

export interface LinesParts {
  readonly seed: number;
  /** As the cluster describes them; a site without one has a line that costs nothing. */
  readonly wideLinks: ReadonlyMap<string, LinkSpeed>;
  readonly variations: ReadonlyMap<string, Variation>;
}

export class Lines {
  readonly #parts: LinesParts;

  constructor(parts: LinesParts) {
    this.#parts = parts;
  }

  at(site: string, time: number): LinkSpeed {
    const { seed, wideLinks, variations } = this.#parts;
    const link = wideLinks.get(site) ?? FREE_LINK;
    const variation = variations.get(site);
    if (!variation) return link;
    const random = new Random(hashText(`${seed}/${site}/${periodOf(variation, time)}`));
    const factor = Math.exp(variation.spread * normal(random));
    return { ...link, bytesPerSecond: factor * link.bytesPerSecond };
  }

  /**
   * When what begins at `start` has ended, if at each moment it goes on at the rate at which it would take
   * `secondsWith` the lines as they are then. `halfUntil`: till when it has only half of a site's line.
   */
  endOf(
    sites: readonly string[],
    start: number,
    secondsWith: (lines: readonly LinkSpeed[]) => number,
    halfUntil: ReadonlyMap<string, number> = new Map(),
  ): number {
    const partAt = (site: string, time: number): LinkSpeed => {
      const line = this.at(site, time);
      const isHalf = time < (halfUntil.get(site) ?? 0);
      return isHalf ? { ...line, bytesPerSecond: line.bytesPerSecond / 2 } : line;
    };
    let time = start;
    for (let left = 1; ;) {
      const seconds = secondsWith(sites.map((site) => partAt(site, time)));
      const whole = [...halfUntil.values()].filter((until) => until > time);
      const change = Math.min(this.#nextChange(sites, time), ...whole);
      if (time + left * seconds <= change) return time + left * seconds;
      left -= (change - time) / seconds;
      time = change;
    }
  }

  #nextChange(sites: readonly string[], time: number): number {
    const changes = sites.flatMap((site) => {
      const variation = this.#parts.variations.get(site);
      return variation ? [(periodOf(variation, time) + 1) * variation.minutes * 60] : [];
    });
    return Math.min(Infinity, ...changes);
  }
}

/** Number of the period that `time` is in. Rounding must not put the beginning of one into the one before. */
function periodOf({ minutes }: Variation, time: number): number {
  const period = Math.floor(time / (minutes * 60));
  return (period + 1) * minutes * 60 <= time ? period + 1 : period;
}

/** Of the standard normal distribution: Box and Muller, 1958. */
function normal(random: Random): number {
  return Math.sqrt(-2 * Math.log(1 - random.unit())) * Math.cos(2 * Math.PI * random.unit());
}
