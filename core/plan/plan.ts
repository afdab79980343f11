// What a plan is: which worker holds which blocks of which replica, and who must be linked with whom.
// Not here: how a plan is chosen (partition.ts) or in what order a stage works (order.ts).
import { z } from "zod";

const index = z.number().int().min(0);

/**
 * Blocks [first, last) of the model on one worker; the first stage also embeds, the last one has the head. As JSON a
 * tuple: a plan goes to each of its workers, and a thousand of them have a thousand stages.
 */
export const PlannedStage = z.codec(
  z.tuple([z.string(), index, index]),
  z.strictObject({ worker: z.string(), first: index, last: index }),
  {
    decode: ([worker, first, last]) => ({ worker, first, last }),
    encode: ({ worker, first, last }): [string, number, number] => [worker, first, last],
  },
);

/** Whole numbers; as JSON the ranges of those that follow each other, the first and the last of each. */
const Numbers = z.codec(z.array(z.tuple([index, index])), z.array(index), {
  decode: (ranges) =>
    ranges.flatMap(([first, last]) => Array.from({ length: last - first + 1 }, (_, i) => first + i)),
  encode: rangesOf,
});

function rangesOf(numbers: readonly number[]): [number, number][] {
  const ranges: [number, number][] = [];
  for (const number of numbers) {
    const range = ranges.at(-1);
    if (range?.[1] === number - 1) range[1] = number;
    else ranges.push([number, number]);
  }
  return ranges;
}

/** A pipeline that holds the whole model, and the microbatches of each step that flow through it. */
export const Replica = z.strictObject({
  site: z.string(),
  stages: z.array(PlannedStage).min(1),
  microbatches: Numbers,
  /** Its stages go by ZB-H1 (zero-bubble.ts), not by 1F1B. Never in a run with `recompute`. */
  zeroBubble: z.literal(true).optional(),
});

/** Replicas in a fixed order: sums are taken in this order, so that results do not depend on timing. */
export const Plan = z.strictObject({
  replicas: z.array(Replica).min(1),
  spare: z.array(z.string()),
  /** How much of a wide sum each site takes, in order of lead replicas; absent where links count as equal. */
  wideShares: z.array(z.number().min(0).max(1)).optional(),
});

export type PlannedStage = z.infer<typeof PlannedStage>;
export type Replica = z.infer<typeof Replica>;
export type Plan = z.infer<typeof Plan>;

/** A pair of workers that exchange frames. `initiator` offers the connection. */
export const PlannedLink = z.strictObject({
  initiator: z.string(),
  other: z.string(),
  kind: z.enum(["site", "wide"]),
});
export type PlannedLink = z.infer<typeof PlannedLink>;
export type LinkKind = PlannedLink["kind"];

/** Where a worker stands in a plan. */
export interface Position {
  readonly replica: number;
  readonly stage: number;
}

export function positionOf(plan: Plan, worker: string): Position | undefined {
  for (const [replica, { stages }] of plan.replicas.entries()) {
    const stage = stages.findIndex((planned) => planned.worker === worker);
    if (stage >= 0) return { replica, stage };
  }
  return undefined;
}

/** The first replica of each site, in plan order: their stages lead their site's share of the wide exchange. */
export function leadReplicas(plan: Plan): Replica[] {
  const led = new Set<string>();
  return plan.replicas.filter(({ site }) => !led.has(site) && led.add(site));
}

/**
 * Every link the plan needs, each pair once:
 * - site: neighbours in a pipeline; its last stage with its first (sampled tokens, tied embedding);
 *   stages of different replicas of a site that share blocks;
 * - wide: stages of lead replicas of different sites that share blocks.
 */
export function linksOf(plan: Plan): PlannedLink[] {
  const links = new Map<string, PlannedLink>();
  const add = (a: string, b: string, kind: LinkKind) => {
    if (a === b) return;
    const [initiator, other] = a < b ? [a, b] : [b, a];
    links.set(`${initiator} ${other}`, { initiator, other, kind });
  };
  for (const { stages } of plan.replicas) {
    stages.forEach((stage, i) => add(stage.worker, stages[(i + 1) % stages.length]!.worker, "site"));
  }
  const leads = leadReplicas(plan);
  for (const { site } of leads) {
    const replicas = plan.replicas.filter((replica) => replica.site === site);
    forOverlaps(replicas, (a, b) => add(a.worker, b.worker, "site"));
  }
  forOverlaps(leads, (a, b) => add(a.worker, b.worker, "wide"));
  return [...links.values()];
}

/** Pairs of stages, of different replicas, that share blocks. */
function forOverlaps(replicas: readonly Replica[], visit: (a: PlannedStage, b: PlannedStage) => void): void {
  for (const [i, replica] of replicas.entries()) {
    for (const other of replicas.slice(i + 1)) {
      for (const a of replica.stages) {
        for (const b of other.stages) if (a.first < b.last && b.first < a.last) visit(a, b);
      }
    }
  }
}
