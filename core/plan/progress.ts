// How far the sites of a run in strategy `rounds` have come, and where each goes on when a generation has ended, whatever
// it was in the middle of. A site's steps are committed one by one, an exchange is concluded for all sites at once; so a
// worker's state is that after certain steps, exchanges and merges, and the coordinator knows which.
// Not here: who still holds the state of which site (kept-states.ts), the calendar (rounds.ts).
import type { RoundsConfig } from "../model/config.ts";
import type { Standing } from "./rounds.ts";

export interface SiteProgress extends Standing {
  /** Trained on since the exchange that each fragment was last in. */
  readonly tokens: readonly number[];
}

/** `Done`: what a site did of a step. */
export interface Progress<Done> {
  /** All sites have passed it. */
  readonly step: number;
  readonly sites: ReadonlyMap<string, SiteProgress>;
  /** Of later steps, which not all sites have passed, by site. One that has gone since may be the only one. */
  readonly done: ReadonlyMap<number, ReadonlyMap<string, Done>>;
}

/** Where all sites have done the same: no exchange is under way, and what is yet to take effect is by the calendar. */
export function evenStanding({ overlap }: RoundsConfig, step: number): Standing {
  return { step, begun: step, merged: Math.max(0, step - overlap) };
}

/** The same of all sites. `tokens`: by site and fragment since the last exchange, none unless given. */
export function evenProgress(
  strategy: RoundsConfig,
  sites: readonly string[],
  step: number,
  tokens: Readonly<Record<string, readonly number[]>> = {},
): Progress<never> {
  const none = Array.from({ length: strategy.fragments }, () => 0);
  const standing = evenStanding(strategy, step);
  const progressOf = (site: string): SiteProgress => ({ ...standing, tokens: tokens[site] ?? none });
  return { step, sites: new Map(sites.map((site) => [site, progressOf(site)])), done: new Map() };
}

/** What a site did that may have come to nothing. */
export interface Underway extends SiteProgress {
  /** By fragment: what its latest exchange weighs the site by. */
  readonly weighed: readonly number[];
}

/**
 * A site as it is when its generation has ended. Of exchanges up to `concluded` all sites have taken the outer step, so
 * what was to take effect has. A later one has left no trace anywhere: it is to be begun again.
 */
export function ended({ step, begun, merged, tokens, weighed }: Underway, concluded: number): SiteProgress {
  const isVoid = begun > concluded;
  return {
    step,
    begun: Math.min(begun, concluded),
    merged: Math.min(merged, concluded),
    tokens: isVoid ? tokens.map((count, fragment) => count + weighed[fragment]!) : tokens,
  };
}

/**
 * Where the sites of the next plan go on. `sourceOf`: the site whose state a site takes, its own if it can; what it has not
 * trained itself does not weigh.
 */
export function goingOn<Done>(
  { step, sites, done }: Progress<Done>,
  next: readonly string[],
  sourceOf: (site: string) => string,
): Progress<Done> {
  const progressOf = (site: string): SiteProgress => {
    const source = sourceOf(site);
    const progress = sites.get(source)!;
    return source === site ? progress : { ...progress, tokens: progress.tokens.map(() => 0) };
  };
  return { step, sites: new Map(next.map((site) => [site, progressOf(site)])), done };
}
