// A description of machines that need not exist: what `tributary plan` plans for, and `simulate` plays with. Who comes and goes,
// and how lines vary, is for `simulate` alone.
import { z } from "zod";
import type { Measured } from "./measured.ts";
import type { SiteWorkers } from "./partition.ts";
import type { LinkSpeed, WorkerSpeed } from "./speed.ts";

const name = z.string().regex(/^[a-z0-9][a-z0-9-]{0,39}$/i, "use letters, digits and '-', 40 at most");
/** Of one kind, and of the cluster. */
const MOST_WORKERS = 100_000;
const count = z.number().int().positive().max(MOST_WORKERS, `give at most ${MOST_WORKERS} workers`);
const positive = z.number().positive();

const UNITS: Readonly<Record<string, number>> = { MB: 1e6, GB: 1e9, MiB: 2 ** 20, GiB: 2 ** 30 };

/** "8 GB" -> 8e9 */
const Size = z
  .string()
  .regex(/^\d+(\.\d+)? ?(MB|GB|MiB|GiB)$/, "give a size such as '8 GB' (MB, GB, MiB or GiB)")
  .transform((text) => parseFloat(text) * UNITS[/[A-Za-z]+$/.exec(text)![0]]!);

/** Keys of a kind that say nothing of its speed. */
const APART: ReadonlySet<string> = new Set(["count", "stays", "away"]);

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
    /** Hours, on average, that a worker is there, and that it is away then. Without them it is always there. */
    stays: positive.optional(),
    away: positive.optional(),
  })
  .refine((kind) => kind.gflops !== undefined || Object.keys(kind).every((key) => APART.has(key)), {
    message: "give gflops too: headGflops, overheadMs and memory count only beside it",
    path: ["gflops"],
  })
  .refine(({ stays, away }) => (stays === undefined) === (away === undefined), {
    message: "give both stays and away, in hours, or neither",
    path: ["stays"],
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

/** A line's rate is drawn anew every so many minutes: `mbit` times a log-normal factor of median 1. */
const Variation = z.strictObject({
  /** Standard deviation of the factor's natural logarithm. */
  spread: z
    .number()
    .min(0)
    .max(3, "give at most 3: two thirds of rates are then between a 20th and 20 times mbit"),
  minutes: positive,
});
export type Variation = z.infer<typeof Variation>;

export const Cluster = z.strictObject({
  sites: z
    .array(
      z.strictObject({
        name,
        workers: Workers,
        /** Between two workers of the site; and the site's line to the others, for all of its workers together. */
        link: Link.optional(),
        wide: Link.extend({ varies: Variation.optional() }).optional(),
      }),
    )
    .min(1)
    .refine((sites) => new Set(sites.map((site) => site.name)).size === sites.length, {
      message: "a site is named twice",
    })
    .refine(
      (sites) =>
        sites.flatMap(({ workers }) => workers).reduce((sum, kind) => sum + kind.count, 0) <= MOST_WORKERS,
      {
        message: `give at most ${MOST_WORKERS} workers in all sites together`,
      },
    ),
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

/** Seconds, on average, that a worker is there and then is not. */
export interface Habit {
  readonly stays: number;
  readonly away: number;
}

const HOUR = 3600;

/** Of those workers that come and go. */
export function habitsOf({ sites }: Cluster): ReadonlyMap<string, Habit> {
  return new Map(
    sites
      .flatMap(kindsOf)
      .flatMap(({ id, kind: { stays, away } }) =>
        stays === undefined || away === undefined
          ? []
          : [[id, { stays: stays * HOUR, away: away * HOUR }] as const],
      ),
  );
}

/** Of those sites whose lines vary. */
export function variationsOf({ sites }: Cluster): ReadonlyMap<string, Variation> {
  return new Map(sites.flatMap(({ name, wide }) => (wide?.varies ? [[name, wide.varies] as const] : [])));
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
