// What is known of how fast workers and links are, and what is assumed of the rest.
import type { SiteWorkers } from "./partition.ts";
import type { Candidate } from "./pipelines.ts";
import type { LinkSpeed, WorkerSpeed } from "./speed.ts";

/** Measured, or described. Whoever is missing has not been. */
export interface Measured {
  /** By the worker's id. */
  readonly workers: ReadonlyMap<string, WorkerSpeed>;
  /** By the site's name: between two of its workers, in each direction. */
  readonly siteLinks: ReadonlyMap<string, LinkSpeed>;
  /** By the site's name: its line to the other sites, in each direction, for all of its workers together. */
  readonly wideLinks: ReadonlyMap<string, LinkSpeed>;
}

export const NOTHING_MEASURED: Measured = {
  workers: new Map(),
  siteLinks: new Map(),
  wideLinks: new Map(),
};

/** What a data channel between two browsers carries on one machine or a fast local network: `npm run bench -- link`. */
export const USUAL_SITE_LINK: LinkSpeed = { bytesPerSecond: 15e6, delay: 0.001 };

/** A link that costs nothing: what one counts as whose speed is not known. */
export const FREE_LINK: LinkSpeed = { bytesPerSecond: Infinity, delay: 0 };

/** What a worker without a speed counts as: the median of the others; null when nobody has one. */
export function assumedSpeed(sites: SiteWorkers, { workers }: Measured): WorkerSpeed | null {
  const known = [...sites.values()].flat().flatMap((id) => workers.get(id) ?? []);
  if (known.length === 0) return null;
  return {
    block: middle(known.map(({ block }) => block)),
    head: middle(known.map(({ head }) => head)),
    overhead: middle(known.map(({ overhead }) => overhead)),
    memory: middle(known.map(({ memory }) => memory)),
  };
}

/** The workers of each site. Those without a speed have the median of the others'; null when nobody has one. */
export function candidatesOf(
  sites: SiteWorkers,
  measured: Measured,
): ReadonlyMap<string, readonly Candidate[]> | null {
  const assumed = assumedSpeed(sites, measured);
  if (!assumed) return null;
  const candidate = (id: string): Candidate => {
    const speed = measured.workers.get(id) ?? assumed;
    return { id, speed, kind: `${speed.block} ${speed.head} ${speed.overhead} ${speed.memory}` };
  };
  return new Map([...sites].map(([site, ids]) => [site, ids.map(candidate)]));
}

/** Of an even number the lower one. */
export function middle(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[(values.length - 1) >> 1]!;
}
