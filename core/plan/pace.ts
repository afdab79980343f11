// How long faster sites wait for slower ones in strategy `rounds`: a site that cannot do all steps of an interval in
// the time allowed leaves some out, and weighs as much as the tokens it did train on.

/** Above the median, a site may always take this share more: machines are never quite even. */
const SLACK = 0.5;
const DEVIATIONS = 3;

/**
 * Seconds a step may take on average: the median of the sites' and three median absolute deviations, or half as much
 * again as the median. Of an even number of sites the faster half counts, so that of two sites the slower one does not
 * hold the other.
 */
export function allowedSeconds(bySite: readonly number[]): number {
  const median = lowerMedian(bySite);
  const deviation = lowerMedian(bySite.map((seconds) => Math.abs(seconds - median)));
  return median + Math.max(DEVIATIONS * deviation, SLACK * median);
}

function lowerMedian(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor((sorted.length - 1) / 2)]!;
}

/** Where a site is on its way from one exchange to the next. */
export interface Interval {
  /** Steps from the one exchange to the next, of which done. */
  readonly steps: number;
  readonly done: number;
  /** That these took, and that the next one will take. */
  readonly seconds: number;
  readonly nextStep: number;
  /** Sites that have come to the next exchange, of all. */
  readonly arrived: number;
  readonly sites: number;
}

/**
 * Whether the site is to go on to the next exchange rather than to its next step: half of the sites wait there, and it
 * has had its time. It does one step at least.
 */
export function leavesOut(
  { steps, done, seconds, nextStep, arrived, sites }: Interval,
  allowed: number,
): boolean {
  return done > 0 && 2 * arrived >= sites && seconds + nextStep > steps * allowed;
}
