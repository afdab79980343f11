// States on their way in simulated time: over links inside sites, and over sites' lines to other sites or the server. What
// goes over a line while a checkpoint does has half of it, and so has the checkpoint.
// Not here: what is sent (core/plan/moves.ts, core/plan/states.ts), and when (run.ts).
import { transferSeconds } from "../plan/cost.ts";
import { FREE_LINK, type Measured } from "../plan/measured.ts";
import type { MoveTraffic } from "../plan/move-traffic.ts";
import type { LinkSpeed } from "../plan/speed.ts";
import { addTo } from "../sums.ts";
import type { Clock } from "./clock.ts";
import type { Lines } from "./lines.ts";

export interface TransferParts {
  readonly clock: Clock;
  readonly lines: Lines;
  readonly siteLinks: Measured["siteLinks"];
}

/** What a site's line carries from `start` to `end`, `sent` bytes of it away from the site. */
interface Move {
  readonly site: string;
  readonly sent: number;
  readonly start: number;
  readonly end: number;
}

export class StateTransfers {
  readonly #parts: TransferParts;
  /** When a site's line has carried what it was given. */
  readonly #busyUntil = new Map<string, number>();
  /** Of the latest plan. */
  #moves: readonly Move[] = [];
  /** When a site's part of the checkpoint on its way is at the server. */
  readonly #uploadedAt = new Map<string, number>();
  /** Bytes between a site and the server, and sent by a site to others. */
  readonly serverBytes = new Map<string, number>();
  readonly movedBytes = new Map<string, number>();

  constructor(parts: TransferParts) {
    this.#parts = parts;
  }

  /** So many bytes of each site are on their way to the server from now on, beside all else. */
  upload(bySite: ReadonlyMap<string, number>): void {
    const { clock, lines } = this.#parts;
    for (const [site, bytes] of bySite) {
      addTo(this.serverBytes, site, bytes);
      const end = lines.endOf([site], clock.now, ([line]) => transferSeconds(line!, bytes), this.#busyUntil);
      this.#uploadedAt.set(site, end);
    }
  }

  /** When the checkpoint on its way is at the server, as things stand. */
  get uploadedAt(): number {
    return Math.max(this.#parts.clock.now, ...this.#uploadedAt.values());
  }

  isUploading(site: string): boolean {
    return (this.#uploadedAt.get(site) ?? 0) > this.#parts.clock.now;
  }

  /** What is left of it, or of a site's part of it, is not sent any more. */
  dropUploads(): void {
    this.#uploadedAt.clear();
  }

  dropUpload(site: string): void {
    this.#uploadedAt.delete(site);
  }

  /** As `Lines.endOf`: of what goes beside the checkpoint on its way, which takes so much longer. */
  endOf(
    sites: readonly string[],
    start: number,
    secondsWith: (lines: readonly LinkSpeed[]) => number,
  ): number {
    // An upload with half a line from now on takes twice as long.
    const uploads = [...this.#uploadedAt].filter(([site, until]) => sites.includes(site) && until > start);
    const halfUntil = new Map(uploads.map(([site, until]) => [site, start + 2 * (until - start)]));
    const end = this.#parts.lines.endOf(sites, start, secondsWith, halfUntil);
    for (const [site, until] of uploads) {
      this.#uploadedAt.set(site, until + (Math.min(end, halfUntil.get(site)!) - start) / 2);
    }
    return end;
  }

  /** When so many bytes of each site have come from the server. */
  fromServer(bySite: ReadonlyMap<string, number>): number {
    for (const [site, bytes] of bySite) addTo(this.serverBytes, site, bytes);
    return latest(this.#parts.clock.now, this.#carried(bySite));
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
    const carried = this.#carried(new Map(most));
    this.#moves = carried.map((move) => ({ ...move, sent: sent.get(move.site) ?? 0 }));
    return Math.max(...inside, latest(clock.now, carried));
  }

  /** What has not moved by now is not asked for any more: there will be another plan. */
  dropMoves(): void {
    const { now } = this.#parts.clock;
    for (const { site, sent, start, end } of this.#moves.filter(({ end }) => end > now)) {
      const left = (end - Math.max(start, now)) / (end - start);
      addTo(this.movedBytes, site, -sent * left);
      this.#busyUntil.set(site, Math.max(start, now));
    }
    this.#moves = [];
  }

  /** When sites' lines carry so many bytes. */
  #carried(bySite: ReadonlyMap<string, number>): Omit<Move, "sent">[] {
    const { clock } = this.#parts;
    return [...bySite].map(([site, bytes]) => {
      const start = Math.max(clock.now, this.#busyUntil.get(site) ?? 0);
      const end = this.endOf([site], start, ([line]) => transferSeconds(line!, bytes));
      this.#busyUntil.set(site, end);
      return { site, start, end };
    });
  }
}

const latest = (now: number, carried: readonly Pick<Move, "end">[]): number =>
  Math.max(now, ...carried.map(({ end }) => end));
