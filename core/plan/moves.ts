// What passes from worker to worker when a run goes on by another plan: who holds which state in memory, and from whom
// each worker of the plan takes what it will hold. Sites may cut the model differently: what is taken are segments.
// Not here: the states themselves and their way over links (web/worker/held-state.ts, web/worker/take-state.ts).
import { z } from "zod";
import type { RunConfig } from "../model/config.ts";
import {
  borrowsEmbedding,
  embeddingSegment,
  ownedSegment,
  parameterSpace,
  stageRange,
  type Segment,
} from "../model/parameters.ts";
import { needsFeedback } from "../reduce/codec.ts";
import { commonSegments, holdingsOf, type Holding } from "../reduce/holdings.ts";
import { keepsUnsaid } from "../reduce/outer.ts";
import { leadReplicas, linksOf, type Plan, type PlannedLink, type Replica } from "./plan.ts";

const index = z.number().int().min(0);

/**
 * A segment that a worker takes from one that holds it, or from its own memory. trained: parameters and AdamW's moments;
 * agreed: what all sites agree on (strategy `rounds`); unsaid: what error feedback of the site holds; embedding: values
 * of the tied embedding, for a head that borrows it.
 */
export const Take = z.strictObject({
  what: z.enum(["trained", "agreed", "unsaid", "embedding"]),
  from: z.string(),
  start: index,
  end: index,
});
export type Take = z.infer<typeof Take>;

/** Every array of a state, with a value for each of the stage's. An array's place here is its number in frames. */
export const STATE_ARRAYS = ["parameters", "m", "v", "anchor", "momentum", "terms", "sums"] as const;
export type StateArray = (typeof STATE_ARRAYS)[number];

export const ARRAYS_OF: Readonly<Record<Take["what"], readonly StateArray[]>> = {
  trained: ["parameters", "m", "v"],
  agreed: ["anchor", "momentum"],
  unsaid: ["terms", "sums"],
  embedding: ["parameters"],
};

/** A worker with the state of a stage in its memory. */
export interface Holder extends Holding {
  readonly site: string;
  /** Also of what its site has left unsaid. */
  readonly hasUnsaid: boolean;
}

export interface Moves {
  readonly takes: ReadonlyMap<string, readonly Take[]>;
  /** That they need beside those of the plan. */
  readonly links: readonly PlannedLink[];
}

/** Whether replicas differ in nothing but rounding: then one that is lost leaves no state behind that others lack. */
export function replicasAreAlike({ strategy }: Pick<RunConfig, "strategy">): boolean {
  return strategy.kind === "sync" && !needsFeedback(strategy.gradients);
}

/** Whether a run goes on from what others hold when a worker is lost. */
export function outlivesLosses(config: Pick<RunConfig, "strategy">): boolean {
  return config.strategy.kind === "rounds" || replicasAreAlike(config);
}

/**
 * The replicas that keep what their site has left unsaid: the lead replica, which encodes; or all, where the
 * rest is a part of the site's parameters.
 */
export function unsaidKeepers({ strategy }: Pick<RunConfig, "strategy">, plan: Plan): readonly Replica[] {
  if (replicasAreAlike({ strategy })) return [];
  return strategy.kind === "rounds" && keepsUnsaid(strategy) ? plan.replicas : leadReplicas(plan);
}

/** Who holds what once a generation of this plan has begun. */
export function holdersOf(config: Pick<RunConfig, "model" | "strategy">, plan: Plan): Holder[] {
  const { model } = config;
  const space = parameterSpace(model);
  const keepers = new Set(unsaidKeepers(config, plan));
  return plan.replicas.flatMap((replica) => {
    const more = { site: replica.site, hasUnsaid: keepers.has(replica) };
    return holdingsOf(model, replica, space).map((holding) => ({ ...holding, ...more }));
  });
}

/** Whether these hold the whole model's. */
export function areWhole({ model }: Pick<RunConfig, "model">, holders: readonly Holder[]): boolean {
  return sources({ start: 0, end: parameterSpace(model).size }, holders).every(hasSource);
}

/**
 * Whose parameters a site goes on from, where each has its own (strategy `rounds`): its own, if its workers hold all of
 * them, or else the first site's that does; null where there is none.
 */
export function siteSources(
  config: Pick<RunConfig, "model">,
  holders: readonly Holder[],
): (site: string) => string | null {
  const isWhole = (site: string) =>
    areWhole(
      config,
      holders.filter((holder) => holder.site === site),
    );
  const whole = [...new Set(holders.map(({ site }) => site))].filter(isWhole);
  return (site) => (whole.includes(site) ? site : (whole[0] ?? null));
}

/**
 * What each worker of `plan` takes: from itself what it holds, else from its own site, else from another. Where sites have
 * parameters of their own, those of one site are not mixed with another's. A site that is new begins with nothing unsaid,
 * and so does one for what nobody holds any more. Null where nobody holds something that is needed.
 */
export function movesTo(
  config: Pick<RunConfig, "model" | "strategy">,
  plan: Plan,
  holders: readonly Holder[],
): Moves | null {
  const { model, strategy } = config;
  const space = parameterSpace(model);
  const embedding = embeddingSegment(space);
  const keepers = new Set(unsaidKeepers(config, plan));
  const sourceOf = strategy.kind === "rounds" ? siteSources(config, holders) : null;
  const takes = new Map<string, Take[]>();
  for (const replica of plan.replicas) {
    const { site } = replica;
    const source = sourceOf?.(site);
    const ofSource = sourceOf ? holders.filter((holder) => holder.site === source) : holders;
    for (const { worker, first, last } of replica.stages) {
      const range = stageRange(model, first, last);
      const own = ownedSegment(space, range);
      const from = (what: Take["what"], segment: Segment, candidates: readonly Holder[], to = worker) =>
        sources(segment, byNearness(candidates, to, site)).map((taken) => ({ what, ...taken }));
      const needed = [...from("trained", own, ofSource)];
      if (borrowsEmbedding(model, range)) {
        // The same values as its owner in this pipeline takes.
        const owner = replica.stages[0]!.worker;
        needed.push(...from("embedding", embedding, ofSource, owner));
      }
      if (strategy.kind === "rounds") needed.push(...from("agreed", own, holders));
      if (needed.some((take) => take.from === null)) return null;
      if (keepers.has(replica) && (!sourceOf || source === site)) {
        const ofSite = holders.filter((holder) => holder.site === site && holder.hasUnsaid);
        needed.push(...from("unsaid", own, ofSite));
      }
      takes.set(worker, needed.filter(hasSource));
    }
  }
  return { takes, links: linksFor(takes, plan, holders) };
}

interface Source extends Segment {
  /** Null where there is none. */
  readonly from: string | null;
}

const hasSource = <T extends Source>(source: T): source is T & { from: string } => source.from !== null;

/** Cuts the segment by who is the first of `holders` to hold each part. */
function sources(segment: Segment, holders: readonly Holder[]): Source[] {
  const parts: { from: string | null; start: number; end: number }[] = [];
  for (const { start, end } of commonSegments([[...holders]], segment)) {
    const holder = holders.find(({ segment: held }) => held.start <= start && end <= held.end);
    const from = holder?.worker ?? null;
    const before = parts.at(-1);
    if (before?.from === from) before.end = end;
    else parts.push({ from, start, end });
  }
  return parts;
}

function byNearness(holders: readonly Holder[], worker: string, site: string): Holder[] {
  const distance = (holder: Holder) => (holder.worker === worker ? 0 : holder.site === site ? 1 : 2);
  return holders.toSorted((a, b) => distance(a) - distance(b));
}

function linksFor(
  takes: ReadonlyMap<string, readonly Take[]>,
  plan: Plan,
  holders: readonly Holder[],
): PlannedLink[] {
  const sites = new Map(holders.map(({ worker, site }) => [worker, site]));
  for (const { site, stages } of plan.replicas) for (const { worker } of stages) sites.set(worker, site);
  const keyOf = ({ initiator, other }: Pick<PlannedLink, "initiator" | "other">) => `${initiator} ${other}`;
  const planned = new Set(linksOf(plan).map(keyOf));
  const links = new Map<string, PlannedLink>();
  for (const [worker, taken] of takes) {
    for (const { from } of taken) {
      const [initiator, other] = [worker, from].sort() as [string, string];
      const kind = sites.get(worker) === sites.get(from) ? "site" : "wide";
      const link = { initiator, other, kind } as const;
      if (worker !== from && !planned.has(keyOf(link))) links.set(keyOf(link), link);
    }
  }
  return [...links.values()];
}
