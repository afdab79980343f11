// Whether all sites hold the same after an exchange, by the hashes that their workers report; and who can give the
// right values to a site that does not.

export interface Deviation {
  /** Part of the model. */
  readonly part: string;
  /** A worker that holds what most sites have, and the one that does not. */
  readonly from: string;
  readonly to: string;
}

interface Report {
  readonly worker: string;
  readonly hash: number;
}

export class AnchorCheck {
  readonly #sites: number;
  /** Reports of exchanges that not all sites have spoken of, by step and part, in order of sites. */
  readonly #reports = new Map<string, Map<number, Report>>();

  constructor(sites: number) {
    this.#sites = sites;
  }

  /** Takes what a worker of site number `site` holds. Returns who deviates, once the last site has spoken. */
  report(site: number, step: number, worker: string, hashes: Readonly<Record<string, number>>): Deviation[] {
    return Object.entries(hashes).flatMap(([part, hash]) => {
      const key = `${step} ${part}`;
      const reports = this.#reports.get(key) ?? new Map<number, Report>();
      this.#reports.set(key, reports);
      reports.set(site, { worker, hash });
      if (reports.size < this.#sites) return [];
      this.#reports.delete(key);
      return deviations(
        part,
        [...reports].sort(([a], [b]) => a - b).map(([, report]) => report),
      );
    });
  }
}

/** What most hold is right; among equals, what the first of them holds. */
function deviations(part: string, reports: readonly Report[]): Deviation[] {
  const votes = (hash: number) => reports.filter((report) => report.hash === hash).length;
  const right = reports.reduce((best, report) => (votes(report.hash) > votes(best.hash) ? report : best));
  return reports
    .filter(({ hash }) => hash !== right.hash)
    .map(({ worker }) => ({ part, from: right.worker, to: worker }));
}
