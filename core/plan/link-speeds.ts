// From the speeds of links between workers, as measured, to what the planner reckons with: a link inside each site, and
// each site's line to the others.
// Not here: measuring (web/link/link-meter.ts).
import { middle, USUAL_SITE_LINK, type Measured } from "./measured.ts";
import type { SiteWorkers } from "./partition.ts";
import type { LinkFigure, LinkSpeed } from "./speed.ts";

/** A link in one direction, as it was in the generation in which `from` last said so; generations of all runs. */
export interface MeasuredLink {
  readonly from: string;
  readonly to: string;
  readonly generation: number;
  readonly speed: LinkFigure;
}

/**
 * Of a site's links only those of the newest generation it had any in count. Inside a site the median link does; one
 * that was never filled is as fast as such links usually are, or what it was seen to be, if that is more. A site's line
 * carries what all of its wide links do together, since they are busy at the same time; it has the largest of their
 * delays. Where none of them was ever filled there is no entry: no site is to be left out for what nobody knows.
 *
 * @param sites of all workers that the links may name; what they name beside these is ignored
 */
export function linkSpeeds(
  sites: SiteWorkers,
  links: readonly MeasuredLink[],
): Pick<Measured, "siteLinks" | "wideLinks"> {
  const siteOf = new Map([...sites].flatMap(([site, workers]) => workers.map((id) => [id, site] as const)));
  const siteLinks = new Map<string, LinkSpeed>();
  const wideLinks = new Map<string, LinkSpeed>();
  const known = links.filter(({ from, to }) => siteOf.has(from) && siteOf.has(to));
  for (const site of sites.keys()) {
    const ours = known.filter(({ from }) => siteOf.get(from) === site);
    const inside = newest(ours.filter(({ to }) => siteOf.get(to) === site));
    const wide = newest(ours.filter(({ to }) => siteOf.get(to) !== site));
    siteLinks.set(site, inside.length > 0 ? medianOf(inside) : USUAL_SITE_LINK);
    if (wide.some(({ filled }) => filled)) wideLinks.set(site, lineOf(wide));
  }
  return { siteLinks, wideLinks };
}

function newest(links: readonly MeasuredLink[]): LinkFigure[] {
  const generation = links.reduce((latest, link) => Math.max(latest, link.generation), 0);
  return links.filter((link) => link.generation === generation).map(({ speed }) => speed);
}

const medianOf = (links: readonly LinkFigure[]): LinkSpeed => ({
  bytesPerSecond: middle(
    links.map(({ filled, bytesPerSecond }) =>
      filled ? bytesPerSecond : Math.max(bytesPerSecond, USUAL_SITE_LINK.bytesPerSecond),
    ),
  ),
  delay: middle(links.map(({ delay }) => delay)),
});

const lineOf = (links: readonly LinkFigure[]): LinkSpeed => ({
  bytesPerSecond: links.reduce((sum, { bytesPerSecond }) => sum + bytesPerSecond, 0),
  delay: Math.max(...links.map(({ delay }) => delay)),
});
