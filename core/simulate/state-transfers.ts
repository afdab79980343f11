// States on their way in simulated time: over links inside sites, and over sites' lines to other sites or the server.
// Not here: what is sent (core/plan/moves.ts, core/plan/states.ts), and when (run.ts).
import { transferSeconds } from "../plan/cost.ts";
import { FREE_LINK, type Measured } from "../plan/measured.ts";
import type { MoveTraffic } from "../plan/move-traffic.ts";
import { addTo } from "../sums.ts";
import type { Clock } from "./clock.ts";
import type { Lines } from "./lines.ts";

export interface TransferParts {
  readonly clock: Clock;
  readonly lines: Lines;
  readonly siteLinks: Measured["siteLinks"];
}

export class StateTransfers {
  readonly #parts: TransferParts;
  /** When a site's line has carried what it was given. What was begun for a plan that is no more goes on. */
  readonly #busyUntil = new Map<string, number>();
  /** Bytes between a site and the server, and sent by a site to others. */
  readonly serverBytes = new Map<string, number>();
  readonly movedBytes = new Map<string, number>();

  constructor(parts: TransferParts) {
    this.#parts = parts;
  }

  /** When so many bytes of each site have come to the server, or from it. */
  withServer(bySite: ReadonlyMap<string, number>): number {
    for (const [site, bytes] of bySite) addTo(this.serverBytes, site, bytes);
    return this.#carried(bySite);
  }

  /** When all workers have what they take from others: the busiest link, or line, is what the rest waits for. */
  amongWorkers({ busiest, sent, taken }: MoveTraffic): number {
    const { clock, siteLinks } = this.#parts;
    for (const [site, bytes] of sent) addTo(this.movedBytes, site, bytes);
    const inside = [...busiest].map(
      ([site, bytes]) => clock.now + transferSeconds(siteLinks.get(site) ?? FREE_LINK, bytes),
    );
    const sites = new Set([...sent.keys(), ...taken.keys()]);
    // A line carries as much in one direction while it does in the other.
    const most = [...sites].map(
      (site) => [site, Math.max(sent.get(site) ?? 0, taken.get(site) ?? 0)] as const,
    );
    return Math.max(...inside, this.#carried(new Map(most)));
  }

  /** When the sites' lines have carried so many bytes. */
  #carried(bySite: ReadonlyMap<string, number>): number {
    const { clock, lines } = this.#parts;
    const ends = [...bySite].map(([site, bytes]) => {
      const start = Math.max(clock.now, this.#busyUntil.get(site) ?? 0);
      const end = lines.endOf([site], start, ([line]) => transferSeconds(line!, bytes));
      this.#busyUntil.set(site, end);
      return end;
    });
    return Math.max(clock.now, ...ends);
  }
}
