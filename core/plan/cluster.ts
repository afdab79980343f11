// A description of machines that need not exist: what `tributary plan` plans for.
import { z } from "zod";
import type { SiteWorkers } from "./partition.ts";

const name = z.string().regex(/^[a-z0-9][a-z0-9-]{0,39}$/i, "use letters, digits and '-', 40 at most");

export const Cluster = z.strictObject({
  sites: z
    .array(z.strictObject({ name, workers: z.number().int().positive() }))
    .min(1)
    .refine((sites) => new Set(sites.map((site) => site.name)).size === sites.length, {
      message: "a site is named twice",
    }),
});
export type Cluster = z.infer<typeof Cluster>;

/** Workers named as a server would name them: a-1, a-2, b-1. */
export function workersOf(cluster: Cluster): SiteWorkers {
  return new Map(
    cluster.sites.map((site) => [
      site.name,
      Array.from({ length: site.workers }, (_, i) => `${site.name}-${i + 1}`),
    ]),
  );
}
