// What states that move from worker to worker put on links, worked out from who takes what.
// Not here: who takes what (moves.ts), how long that takes (core/simulate/state-transfers.ts).
import { addTo } from "../sums.ts";
import { ARRAYS_OF, type Moves } from "./moves.ts";

type Bytes = ReadonlyMap<string, number>;

export interface MoveTraffic {
  /** By site: the most that one of its workers sends to others of the site, or takes from them. */
  readonly busiest: Bytes;
  /** By site: what it sends to other sites, and what it takes from them. */
  readonly sent: Bytes;
  readonly taken: Bytes;
}

/** @param siteOf of each worker that gives or takes */
export function moveTraffic(
  { takes }: Pick<Moves, "takes">,
  siteOf: (worker: string) => string,
): MoveTraffic {
  const [given, got, sent, taken] = Array.from({ length: 4 }, () => new Map<string, number>());
  for (const [worker, ofWorker] of takes) {
    for (const { what, from, start, end } of ofWorker.filter((take) => take.from !== worker)) {
      const bytes = 4 * ARRAYS_OF[what].length * (end - start);
      const [giver, taker] = [siteOf(from), siteOf(worker)];
      const isInside = giver === taker;
      addTo(isInside ? given! : sent!, isInside ? from : giver, bytes);
      addTo(isInside ? got! : taken!, isInside ? worker : taker, bytes);
    }
  }
  const busiest = new Map<string, number>();
  for (const [worker, bytes] of [...given!, ...got!]) {
    const site = siteOf(worker);
    busiest.set(site, Math.max(busiest.get(site) ?? 0, bytes));
  }
  return { busiest, sent: sent!, taken: taken! };
}
