// What the worker page's address says: which site to join, as whom, how fast.
// Not here: what is wrong with it (session.ts).

export interface Address {
  readonly site: string;
  readonly name: string | undefined;
  readonly token: string;
  /** Whether to search for the fastest kernels. */
  readonly tune: boolean;
  /** GFLOP/s to be slowed to, as typed; null: as fast as it can be. */
  readonly pace: string | null;
}

export function readAddress({ search, hash }: Pick<Location, "search" | "hash">): Address {
  const query = new URLSearchParams(search);
  return {
    site: query.get("site") ?? "",
    name: query.get("name") ?? undefined,
    token: new URLSearchParams(hash.slice(1)).get("token") ?? "",
    tune: query.get("tune") !== "off",
    pace: query.get("pace"),
  };
}
