// From times to speeds: what a worker's measured times say of its FLOP/s, and how later times correct that.
// Not here: measuring (web/worker/probe.ts, web/worker/speed-estimate.ts).
import type { WorkerSpeed } from "./speed.ts";
import type { Work } from "./work.ts";

/** Work that was done in a number of forwards and backwards. */
export interface TimedWork extends Work {
  readonly passes: number;
}

export interface Timing extends TimedWork {
  readonly seconds: number;
}

type Rates = Omit<WorkerSpeed, "memory">;

/** Seconds that the work takes at these speeds. */
export function secondsOf({ block, head, passes }: TimedWork, speed: Rates): number {
  return block / speed.block + head / speed.head + passes * speed.overhead;
}

/**
 * The speeds that explain the timings best, by least squares of their relative errors. There must be some work of
 * blocks and some of the head among them. Where noise would make a speed or the overhead negative, it is left out of
 * the account: first the overhead, then the difference between blocks and head.
 */
export function fitSpeed(timings: readonly Timing[]): Rates {
  const rows = timings.map(({ block, head, passes, seconds }) =>
    [block, head, passes].map((x) => x / seconds),
  );
  const full = leastSquares(rows);
  if (full && full[0]! > 0 && full[1]! > 0 && full[2]! >= 0) {
    return { block: 1 / full[0]!, head: 1 / full[1]!, overhead: full[2]! };
  }
  const ideal = leastSquares(rows.map(([block, head]) => [block!, head!]));
  if (ideal && ideal[0]! > 0 && ideal[1]! > 0)
    return { block: 1 / ideal[0]!, head: 1 / ideal[1]!, overhead: 0 };
  const [perFlop] = leastSquares(rows.map(([block, head]) => [block! + head!]))!;
  return { block: 1 / perFlop!, head: 1 / perFlop!, overhead: 0 };
}

/** So many times are looked at. */
export const TIMES = 5;

/**
 * The speed, corrected by how long work took the last TIMES times: all of it by one factor, since such times cannot tell
 * them apart. The factor is the median, and times that are missing count as foretold: one or two that stand out change
 * nothing, three are a new speed.
 */
export function refineSpeed<T extends Rates>(speed: T, timings: readonly Timing[]): T {
  const factors = Array.from({ length: TIMES }, () => 1);
  for (const [i, { seconds, ...work }] of timings.slice(-TIMES).entries()) {
    factors[i] = secondsOf(work, speed) / seconds;
  }
  const factor = factors.sort((a, b) => a - b)[TIMES >> 1]!;
  return {
    ...speed,
    block: speed.block * factor,
    head: speed.head * factor,
    overhead: speed.overhead / factor,
  };
}

/** The x for which the rows times x come closest to 1 each; null when the rows do not determine it. */
function leastSquares(rows: readonly (readonly number[])[]): number[] | null {
  const width = rows[0]!.length;
  // Columns differ by ten orders of magnitude: each is taken in its own unit.
  const units = Array.from({ length: width }, (_, i) => Math.max(...rows.map((row) => row[i]!)) || 1);
  const scaled = rows.map((row) => row.map((x, i) => x / units[i]!));
  const sums = (f: (row: number[]) => number) => scaled.reduce((sum, row) => sum + f(row), 0);
  const equations = units.map((_, i) => [
    ...units.map((_, j) => sums((row) => row[i]! * row[j]!)),
    sums((row) => row[i]!),
  ]);
  const solution = solve(equations);
  return solution && solution.map((x, i) => x / units[i]!);
}

/** Gauss-Jordan with pivots; each equation is its coefficients and its right side. */
function solve(equations: number[][]): number[] | null {
  const n = equations.length;
  for (let i = 0; i < n; i++) {
    const rest = equations.slice(i);
    const pivot = rest.reduce((best, row) => (Math.abs(row[i]!) > Math.abs(best[i]!) ? row : best));
    if (Math.abs(pivot[i]!) < 1e-12) return null;
    equations.splice(equations.indexOf(pivot, i), 1);
    equations.splice(i, 0, pivot);
    for (const row of equations) {
      if (row === pivot) continue;
      const factor = row[i]! / pivot[i]!;
      for (let j = i; j <= n; j++) row[j]! -= factor * pivot[j]!;
    }
  }
  return equations.map((row, i) => row[n]! / row[i]!);
}
