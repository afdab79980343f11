// Which sites take part: for a number of seconds it is known how many microbatches each site can do, in the best of its
// groupings; the least seconds in which some sites together do all of a step's are found by halving; and that for each
// set of sites that may be the best.
// Not here: a site's groupings (grouping.ts), the shares of its replicas (shares.ts).
import { exchangeSeconds, pipelineSeconds, type Load } from "./cost.ts";
import { capacity, type Grouping, type SiteTask } from "./grouping.ts";
import type { LinkSpeed } from "./speed.ts";

/** A site, and how its workers can be grouped. */
export interface Site {
  readonly name: string;
  readonly task: SiteTask;
  readonly wide: LinkSpeed;
  groupings: readonly Grouping[];
  /** The same for a plan of this site alone, where that makes a difference. */
  readonly alone?: Site;
}

/** Sites that take part, and the seconds in which they do a step's microbatches. */
export interface Choice {
  readonly sites: readonly Site[];
  readonly seconds: number;
  /** With the exchange between sites. */
  readonly step: number;
}

/** Seconds, in equal steps of their logarithm, at which groupings of large sites are compared. */
const TIMES = 32;

/**
 * Those groupings that do most for some number of seconds, from where a pipeline does its first microbatch to where
 * one does all: a few of the hundreds that a large site may have.
 */
export function usefulGroupings(groupings: readonly Grouping[], microbatches: number): Grouping[] {
  let [first, last] = [Infinity, Infinity];
  for (const { groups, after } of groupings) {
    for (const pipeline of groups.flat()) {
      first = Math.min(first, pipelineSeconds(pipeline, 1) + after);
      last = Math.min(last, pipelineSeconds(pipeline, microbatches) + after);
    }
  }
  if (last === Infinity) return [];
  const useful = Array.from({ length: TIMES }, (_, i) => {
    const seconds = first * (last / first) ** (i / (TIMES - 1));
    const done = groupings.map((grouping) => capacity(grouping, seconds));
    return groupings[done.indexOf(Math.max(...done))]!;
  });
  return [...new Set(useful)];
}

/** So many sites have all sets of them tried. */
export const ALL_SETS = 4;

/**
 * The set of sites whose step is shortest. Of more than ALL_SETS: those whose line is at least so fast, for each line
 * there is; each site alone; and from the best of these one site after another left out, as long as it helps.
 */
export function bestSites(load: Load, sites: readonly Site[]): Choice {
  const bestOf = (sets: readonly (readonly Site[])[], soFar: Choice | null) =>
    sets.reduce((best, set) => {
      const members = set.length === 1 ? [set[0]!.alone ?? set[0]!] : set;
      return shorterStep(load, members, best?.step ?? Infinity) ?? best;
    }, soFar);
  if (sites.length <= ALL_SETS) return bestOf(subsets(sites), null)!;
  const lines = [...new Set(sites.map(({ wide }) => wide.bytesPerSecond))].sort((a, b) => a - b);
  const byLine = lines.map((line) => sites.filter(({ wide }) => wide.bytesPerSecond >= line));
  let best = bestOf([...byLine, ...sites.map((site) => [site])], null)!;
  for (;;) {
    const fewer = best.sites.map((site) => best.sites.filter((other) => other !== site));
    const next = bestOf(
      fewer.filter((set) => set.length > 0),
      best,
    )!;
    if (next === best) return best;
    best = next;
  }
}

/** All but the empty one, the largest first, so that of equal ones it is taken. */
function subsets<T>(list: readonly T[]): T[][] {
  return Array.from({ length: 2 ** list.length - 1 }, (_, i) =>
    list.filter((_, bit) => (2 ** list.length - 1 - i) & (1 << bit)),
  ).sort((a, b) => b.length - a.length);
}

/** What the set comes to; null when its step does not take less than `bound`. */
function shorterStep(load: Load, set: readonly Site[], bound: number): Choice | null {
  const stepOf = (some: readonly Site[], seconds: number) => {
    const wide = some.map(({ wide }) => wide);
    return seconds + exchangeSeconds(load, wide, seconds).exposed;
  };
  const isEnough = (seconds: number) =>
    set.reduce((done, site) => done + most(site, seconds), 0) >= load.microbatches;
  let limit = secondsOfOne(load, set);
  if (stepOf(set, limit) >= bound) {
    limit = halve(0, limit, (seconds) => stepOf(set, seconds) >= bound);
    if (!isEnough(limit)) return null;
  }
  const seconds = halve(0, limit, isEnough);
  const sites = set.filter((site) => most(site, seconds) > 0);
  const step = stepOf(sites, seconds);
  return step < bound ? { sites, seconds, step } : null;
}

/** Until one pipeline, the best for it, has done all microbatches by itself. */
function secondsOfOne({ microbatches }: Load, sites: readonly Site[]): number {
  let least = Infinity;
  for (const { groupings } of sites) {
    for (const { groups, after } of groupings) {
      for (const pipeline of groups.flat()) {
        least = Math.min(least, pipelineSeconds(pipeline, microbatches) + after);
      }
    }
  }
  return least;
}

/** A step's relative error that is not worth another halving. */
const PRECISION = 1e-10;

/** The least seconds, up to PRECISION, that are `enough`; `most` are, or are taken as such. */
function halve(least: number, most: number, enough: (seconds: number) => boolean): number {
  let [below, above] = [least, most];
  while (above - below > PRECISION * above) {
    const seconds = (below + above) / 2;
    if (enough(seconds)) above = seconds;
    else below = seconds;
  }
  return above;
}

/** Microbatches of a site in `seconds`. */
function most({ groupings }: Site, seconds: number): number {
  let best = 0;
  for (const grouping of groupings) best = Math.max(best, capacity(grouping, seconds));
  return best;
}

/** That does most in `seconds`; of those the one that is nearest to doing another. */
export function bestGrouping({ groupings }: Site, seconds: number): Grouping {
  const rate = ({ groups, after }: Grouping) =>
    groups.reduce(
      (sum, front) =>
        sum + Math.max(...front.map(({ fill, period }) => Math.max(0, (seconds - after - fill) / period))),
      0,
    );
  const count = new Map(groupings.map((grouping) => [grouping, capacity(grouping, seconds)]));
  return groupings.reduce((a, b) => {
    const more = count.get(b)! - count.get(a)!;
    return more > 0 || (more === 0 && rate(b) > rate(a)) ? b : a;
  });
}
