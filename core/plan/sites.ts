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
}

/** Sites that take part, and the seconds in which they do a step's microbatches. */
export interface Choice {
  readonly sites: readonly Site[];
  readonly seconds: number;
  /** With the exchange between sites. */
  readonly step: number;
}

/** So many sites have all sets of them tried. */
const ALL_SETS = 4;

/**
 * The set of sites whose step is shortest. Of more than ALL_SETS: those whose line is at least so fast, for each line
 * there is; each site alone; and from the best of these one site after another left out, as long as it helps.
 */
export function bestSites(load: Load, sites: readonly Site[]): Choice {
  const weigh = (some: readonly Site[]) => weighSites(load, some);
  const better = (a: Choice, b: Choice) => (b.step < a.step ? b : a);
  if (sites.length <= ALL_SETS) return subsets(sites).map(weigh).reduce(better);
  const lines = [...new Set(sites.map(({ wide }) => wide.bytesPerSecond))].sort((a, b) => a - b);
  const byLine = lines.map((line) => sites.filter(({ wide }) => wide.bytesPerSecond >= line));
  let best = [...byLine, ...sites.map((site) => [site])].map(weigh).reduce(better);
  for (;;) {
    const fewer = best.sites.map((site) => best.sites.filter((other) => other !== site));
    const next = fewer.filter((some) => some.length > 0).map(weigh).reduce(better, best);
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

function weighSites(load: Load, some: readonly Site[]): Choice {
  const seconds = leastSeconds(load, some);
  const sites = some.filter((site) => most(site, seconds) > 0);
  const { exposed } = exchangeSeconds(
    load,
    sites.map(({ wide }) => wide),
    seconds,
  );
  return { sites, seconds, step: seconds + exposed };
}

/** A step's relative error that is not worth another halving. */
const PRECISION = 1e-12;

/** In which the sites do all microbatches of a step. */
function leastSeconds({ microbatches }: Load, sites: readonly Site[]): number {
  let [below, enough] = [0, Infinity];
  for (const { groupings } of sites) {
    for (const { groups, after } of groupings) {
      for (const pipeline of groups.flat()) {
        enough = Math.min(enough, pipelineSeconds(pipeline, microbatches) + after);
      }
    }
  }
  while (enough - below > PRECISION * enough) {
    const seconds = (below + enough) / 2;
    if (seconds === below || seconds === enough) break;
    let done = 0;
    for (const site of sites) done += most(site, seconds);
    if (done >= microbatches) enough = seconds;
    else below = seconds;
  }
  return enough;
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
      (sum, front) => sum + Math.max(...front.map(({ fill, period }) => Math.max(0, (seconds - after - fill) / period))),
      0,
    );
  const count = new Map(groupings.map((grouping) => [grouping, capacity(grouping, seconds)]));
  return groupings.reduce((a, b) => {
    const more = count.get(b)! - count.get(a)!;
    return more > 0 || (more === 0 && rate(b) > rate(a)) ? b : a;
  });
}

