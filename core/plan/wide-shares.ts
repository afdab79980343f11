// How much of a wide sum each site takes, so that the slowest link is done soonest.
// Not here: the sum itself (core/reduce/sum-across-sites.ts), who measures links.
import type { Measured } from "./measured.ts";
import { leadReplicas, type Plan } from "./plan.ts";

/**
 * Shares of a reduce-scatter and all-gather by site, which add up to 1. Of every value a site sends its term, unless it
 * takes the sum; and the sum to the N - 1 others, if it does: (1 - w) + (N - 1) w = 1 + (N - 2) w. The shares minimise
 * the largest of (1 + (N - 2) w_i) / b_i: water is filled in over the fastest sites until all that take a share need
 * equally long. With two sites a site sends the same whatever its share.
 *
 * @param bytesPerSecond what each site's link to the others carries, b_i
 */
export function wideShares(bytesPerSecond: readonly number[]): number[] {
  const count = bytesPerSecond.length;
  if (count <= 2) return bytesPerSecond.map(() => 1 / count);
  const fastest = [...bytesPerSecond].sort((a, b) => b - a);
  let sum = 0;
  let time = Infinity;
  for (const [i, speed] of fastest.entries()) {
    // A site that needs longer than that for its terms alone takes no sum.
    if (time * speed <= 1) break;
    sum += speed;
    time = (count - 2 + i + 1) / sum;
  }
  return bytesPerSecond.map((speed) => Math.max(0, time * speed - 1) / (count - 2));
}

/** What the slowest site takes for a value of a wide sum, of what one value takes it: bytes aside. */
export function sumSeconds(shares: readonly number[], bytesPerSecond: readonly number[]): number {
  const others = shares.length - 2;
  return Math.max(...shares.map((share, i) => (1 + others * share) / bytesPerSecond[i]!));
}

/** Where the lines of all sites are known, each takes the share of wide sums that its line suits. */
export function withWideShares(plan: Plan, measured: Measured): Plan {
  const lines = linesOf(plan, measured);
  return lines.length < 3 || lines.includes(undefined)
    ? plan
    : { ...plan, wideShares: wideShares(lines as number[]) };
}

/** Part of a wide sum's time that `next` saves, where it differs from `current` in shares alone. */
export function savedByShares(current: Plan, next: Plan, measured: Measured): number {
  if (!next.wideShares) return 0;
  const lines = linesOf(next, measured) as number[];
  const present = current.wideShares ?? lines.map(() => 1 / lines.length);
  return 1 - sumSeconds(next.wideShares, lines) / sumSeconds(present, lines);
}

/** Bytes a second of each site's line to the others, where that is known. */
const linesOf = (plan: Plan, { wideLinks }: Measured): (number | undefined)[] =>
  leadReplicas(plan).map(({ site }) => wideLinks.get(site)?.bytesPerSecond);
