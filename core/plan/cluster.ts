// A description of machines that need not exist: what `tributary plan` plans for, and `simulate` plays with.
import { z } from "zod";
import type { Measured } from "./measured.ts";
import type { SiteWorkers } from "./partition.ts";
import type { LinkSpeed, WorkerSpeed } from "./speed.ts";

const name = z.string().regex(/^[a-z0-9][a-z0-9-]{0,39}$/i, "use letters, digits and '-', 40 at most");
const count = z.number().int().positive();
const positive = z.number().positive();

const UNITS: Readonly<Record<string, number>> = { MB: 1e6, GB: 1e9, MiB: 2 ** 20, GiB: 2 ** 30 };

/** "8 GB" -> 8e9 */
const Size = z
  .string()
  .regex(/^\d+(\.\d+)? ?(MB|GB|MiB|GiB)$/, "give a size such as '8 GB' (MB, GB, MiB or GiB)")
  .transform((text) => parseFloat(text) * UNITS[/[A-Za-z]+$/.exec(text)![0]]!);

/** Workers that are alike. Without `gflops` nothing is known of their speed. */
const WorkerKind = z
  .strictObject({
    count: count.default(1),
    /** GFLOP/s that blocks reach, forward and backward; and the head, by default the same. */
    gflops: positive.optional(),
    headGflops: positive.optional(),
    /** What a forward or backward of a microbatch takes however little there is to compute. */
    overheadMs: z.number().min(0).optional(),
    /** Of the GPU, for a stage; without it there is always enough. */
    memory: Size.optional(),
  })
  .refine((kind) => kind.gflops !== undefined || Object.keys(kind).every((key) => key === "count"), {
    message: "give gflops too: headGflops, overheadMs and memory count only beside it",
    path: ["gflops"],
  });
type WorkerKind = z.infer<typeof WorkerKind>;

/** A number, or a list of kinds. Not a union: its errors would not say which of the kinds is wrong, and how. */
const Workers = z.unknown().transform((value, context): WorkerKind[] => {
  const parsed =
    typeof value === "object" ? z.array(WorkerKind).min(1).safeParse(value) : count.safeParse(value);
  if (!parsed.success) {
    for (const { path, message } of parsed.error.issues) context.addIssue({ code: "custom", path, message });
    return z.NEVER;
  }
  return typeof parsed.data === "number" ? [{ count: parsed.data }] : parsed.data;
});

const Link = z.strictObject({
  /** In each direction. */
  mbit: positive,
  /** One way. */
  ms: z.number().min(0),
});

export const Cluster = z.strictObject({
  sites: z
    .array(
      z.strictObject({
        name,
        workers: Workers,
        /** Between two workers of the site; and the site's line to the others, for all of its workers together. */
        link: Link.optional(),
        wide: Link.optional(),
      }),
    )
    .min(1)
    .refine((sites) => new Set(sites.map((site) => site.name)).size === sites.length, {
      message: "a site is named twice",
    }),
});
export type Cluster = z.infer<typeof Cluster>;

type Site = Cluster["sites"][number];

/** Workers named as a server would name them: a-1, a-2, b-1. */
export function workersOf({ sites }: Cluster): SiteWorkers {
  return new Map(sites.map((site) => [site.name, kindsOf(site).map(({ id }) => id)]));
}

/** What the description says of speeds. */
export function measuredOf({ sites }: Cluster): Measured {
  const links = (of: (site: Site) => Site["link"]) =>
    new Map(
      sites.flatMap((site) => {
        const link = of(site);
        return link ? [[site.name, linkSpeed(link)] as const] : [];
      }),
    );
  return {
    workers: new Map(
      sites.flatMap(kindsOf).flatMap(({ id, kind }) => {
        const speed = workerSpeed(kind);
        return speed ? [[id, speed] as const] : [];
      }),
    ),
    siteLinks: links(({ link }) => link),
    wideLinks: links(({ wide }) => wide),
  };
}

function kindsOf({ name, workers }: Site): { id: string; kind: WorkerKind }[] {
  const kinds = workers.flatMap((kind) => Array.from({ length: kind.count }, () => kind));
  return kinds.map((kind, i) => ({ id: `${name}-${i + 1}`, kind }));
}

function workerSpeed({ gflops, headGflops, overheadMs, memory }: WorkerKind): WorkerSpeed | null {
  if (gflops === undefined) return null;
  return {
    block: gflops * 1e9,
    head: (headGflops ?? gflops) * 1e9,
    overhead: (overheadMs ?? 0) / 1000,
    memory: memory ?? Infinity,
  };
}

const linkSpeed = ({ mbit, ms }: z.infer<typeof Link>): LinkSpeed => ({
  bytesPerSecond: (mbit * 1e6) / 8,
  delay: ms / 1000,
});
