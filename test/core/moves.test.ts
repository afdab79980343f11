import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { RunConfig } from "../../core/model/config.ts";
import {
  borrowsEmbedding,
  EMBEDDING,
  ownedSegment,
  parameterSpace,
  stageRange,
} from "../../core/model/parameters.ts";
import { KeptStates } from "../../core/plan/kept-states.ts";
import { holdersOf, movesTo, unsaidKeepers, type Take } from "../../core/plan/moves.ts";
import { moveTraffic } from "../../core/plan/move-traffic.ts";
import { makePlan } from "../../core/plan/partition.ts";
import { leadReplicas, linksOf, type Plan } from "../../core/plan/plan.ts";
import { roundsStrategy, tinyConfig } from "../fixtures/configs.ts";

/** Workers by site, and how many stages a pipeline has. */
const cluster = fc.record({
  sites: fc.array(fc.integer({ min: 0, max: 4 }), { minLength: 3, maxLength: 3 }).filter(([a]) => a! > 0),
  stages: fc.integer({ min: 1, max: 4 }),
});

const changes = fc.record({
  layers: fc.integer({ min: 1, max: 6 }),
  tied: fc.boolean(),
  strategy: fc.constantFrom(
    { kind: "sync", gradients: "f32" } as const,
    { kind: "sync", gradients: "int4" } as const,
    roundsStrategy({ fragments: 1 }),
    roundsStrategy({ fragments: 1, bits: 2, merge: 0 }),
    roundsStrategy({ fragments: 1, bits: 1, merge: 0 }),
  ),
  before: cluster,
  after: cluster,
});

function plansOf({
  layers,
  tied,
  strategy,
  before,
  after,
}: typeof changes extends fc.Arbitrary<infer T> ? T : never) {
  const base = tinyConfig();
  const config = RunConfig.parse({
    ...base,
    batch: 32,
    strategy,
    model: { ...base.model, layers, tied },
  });
  const planOf = ({ sites, stages }: typeof before): Plan => {
    const workers = sites.map(
      (count, s) => [`s${s}`, Array.from({ length: count }, (_, i) => `s${s}-${i}`)] as const,
    );
    return makePlan({ ...config, stages: Math.min(stages, layers) }, new Map(workers));
  };
  return { config, old: planOf(before), plan: planOf(after) };
}

const stagesOf = (plan: Plan) =>
  plan.replicas.flatMap((replica) => replica.stages.map((stage) => ({ ...stage, replica })));

/** Whether the takes are [start, end) piece by piece, in order. */
function tile(takes: readonly Take[], { start, end }: { start: number; end: number }): boolean {
  const ends = [start, ...takes.map((take) => take.end)];
  return takes.every((take, i) => take.start === ends[i] && take.start < take.end) && ends.at(-1) === end;
}

describe("movesTo", () => {
  test("every worker takes all that it will hold, each part once and from one that holds it: the nearest", () => {
    fc.assert(
      fc.property(changes, (change) => {
        const { config, old, plan } = plansOf(change);
        const space = parameterSpace(config.model);
        const holders = holdersOf(config, old);
        const { takes } = movesTo(config, plan, holders)!;
        const siteOf = (worker: string) => holders.find((holder) => holder.worker === worker)!.site;
        expect([...takes.keys()]).toEqual(stagesOf(plan).map(({ worker }) => worker));
        for (const { worker, first, last, replica } of stagesOf(plan)) {
          const range = stageRange(config.model, first, last);
          const own = ownedSegment(space, range);
          const of = (what: Take["what"]) => takes.get(worker)!.filter((take) => take.what === what);
          expect(tile(of("trained"), own)).toBe(true);
          const { offset, size } = space.tensors.find(({ name }) => name === EMBEDDING)!;
          const borrowed = { start: offset, end: offset + size };
          if (borrowsEmbedding(config.model, range)) expect(tile(of("embedding"), borrowed)).toBe(true);
          else expect(of("embedding")).toEqual([]);
          if (config.strategy.kind === "rounds") expect(tile(of("agreed"), own)).toBe(true);
          else expect(of("agreed")).toEqual([]);
          const wasThere = old.replicas.some(({ site }) => site === replica.site);
          if (unsaidKeepers(config, plan).includes(replica) && wasThere)
            expect(tile(of("unsaid"), own)).toBe(true);
          else expect(of("unsaid")).toEqual([]);

          for (const { what, from, start, end } of takes.get(worker)!) {
            const able = holders.filter(
              ({ segment, hasUnsaid }) =>
                segment.start <= start && end <= segment.end && (hasUnsaid || what !== "unsaid"),
            );
            const names = able.map((holder) => holder.worker);
            expect(names).toContain(from);
            if (what === "embedding") {
              const [first] = takes.get(replica.stages[0]!.worker)!;
              expect(first).toMatchObject({ what: "trained", from });
            } else if (names.includes(worker)) expect(from).toBe(worker);
            else if (able.some(({ site }) => site === replica.site)) expect(siteOf(from)).toBe(replica.site);
            if (what === "unsaid") expect(siteOf(from)).toBe(replica.site);
          }
        }
      }),
    );
  });

  test("when a lead replica's worker is gone, what sites agree on comes from its own site, if that has it twice", () => {
    fc.assert(
      fc.property(changes, fc.nat(), (change, which) => {
        const strategy = roundsStrategy({ fragments: 1 });
        const { config, old, plan } = plansOf({ ...change, after: change.before, strategy });
        const leaders = leadReplicas(old).flatMap(({ site, stages }) =>
          stages.map(({ worker }) => ({ site, worker })),
        );
        const gone = leaders[which % leaders.length]!;
        const siteOf = (worker: string) => worker.split("-")[0]!;
        const isDouble = old.replicas.filter(({ site }) => site === gone.site).length > 1;
        const holders = holdersOf(config, old).filter(({ worker }) => worker !== gone.worker);
        const moves = movesTo(config, plan, holders);
        if (isDouble || leadReplicas(old).length > 1) expect(moves).not.toBeNull();
        if (!isDouble) return;
        for (const [worker, taken] of moves!.takes) {
          for (const { what, from } of taken)
            if (what === "agreed") expect(siteOf(from)).toBe(siteOf(worker));
        }
      }),
    );
  });

  test("the plan's links and those added, each once, are all that is needed", () => {
    fc.assert(
      fc.property(changes, (change) => {
        const { config, old, plan } = plansOf(change);
        const { takes, links } = movesTo(config, plan, holdersOf(config, old))!;
        const keyOf = (a: string, b: string) => [a, b].sort().join(" ");
        const needed = [...takes].flatMap(([worker, taken]) =>
          taken.filter(({ from }) => from !== worker).map(({ from }) => keyOf(worker, from)),
        );
        const planned = new Set(linksOf(plan).map(({ initiator, other }) => keyOf(initiator, other)));
        const added = links.map(({ initiator, other }) => keyOf(initiator, other));
        expect(added.toSorted()).toEqual([...new Set(needed.filter((key) => !planned.has(key)))].sort());
        for (const { initiator, other, kind } of links) {
          expect(initiator < other).toBe(true);
          expect(kind).toBe(initiator.split("-")[0] === other.split("-")[0] ? "site" : "wide");
        }
      }),
    );
  });

  test("when workers are gone: null exactly where nobody is left with a block or an end of the model", () => {
    fc.assert(
      fc.property(changes, fc.array(fc.boolean(), { minLength: 12, maxLength: 12 }), (change, gone) => {
        const { config, old, plan } = plansOf({ ...change, strategy: { kind: "sync", gradients: "f32" } });
        const holders = holdersOf(config, old);
        const left = stagesOf(old).filter((_, i) => !gone[i]);
        const isThere = (block: number) => left.some(({ first, last }) => first <= block && block < last);
        const blocks = Array.from({ length: config.model.layers }, (_, block) => block);
        const moves = movesTo(
          config,
          plan,
          holders.filter((_, i) => !gone[i]),
        );
        expect(moves !== null).toBe(blocks.every(isThere));
      }),
    );
  });

  test("the same plan again moves nothing but heads' copies of a tied embedding, over the plan's links", () => {
    fc.assert(
      fc.property(changes, (change) => {
        const { config, old } = plansOf(change);
        const { takes, links } = movesTo(config, old, holdersOf(config, old))!;
        expect(links).toEqual([]);
        for (const [worker, taken] of takes) {
          const others = taken.filter(({ from }) => from !== worker);
          expect(others.every(({ what }) => what === "embedding")).toBe(true);
        }
      }),
    );
  });
});

describe("KeptStates", () => {
  const planOf = (sites: Record<string, string[]>) =>
    makePlan(tinyConfig({ stages: 1 }), new Map(Object.entries(sites)));
  const lossesOf = (bits: 2 | 4, lost: string) => {
    const kept = new KeptStates(
      tinyConfig({ strategy: roundsStrategy({ bits, merge: 0 }) }),
      planOf({ a: ["a-1", "a-2"], b: ["b-1"] }),
    );
    kept.lose(lost);
    expect(kept.isWhole).toBe(true);
    return kept.losses;
  };

  test("says what the run does without", () => {
    expect(lossesOf(4, "a-2")).toEqual([]);
    expect(lossesOf(4, "a-1")).toEqual(["some of what encoding left unsaid of site a's changes is lost"]);
    expect(lossesOf(4, "b-1")).toEqual(["what site b has trained since its latest exchanges is lost"]);
    // What is left unsaid is a part of the parameters there, and held by all replicas.
    expect(lossesOf(2, "a-1")).toEqual([]);
  });
});

describe("moveTraffic", () => {
  const siteOf = (worker: string) => worker.split("-")[0]!;

  test("counts what is taken from others, on the busiest worker of a site and on sites' lines", () => {
    const takes = new Map<string, Take[]>([
      [
        "a-1",
        [
          { what: "trained", from: "a-1", start: 0, end: 100 },
          { what: "trained", from: "a-2", start: 100, end: 110 },
        ],
      ],
      ["a-3", [{ what: "embedding", from: "a-2", start: 0, end: 5 }]],
      [
        "b-1",
        [
          { what: "agreed", from: "a-2", start: 0, end: 7 },
          { what: "unsaid", from: "b-2", start: 0, end: 3 },
        ],
      ],
    ]);
    const { busiest, sent, taken } = moveTraffic({ takes }, siteOf);
    // a-2 gives a-1 three arrays of ten values, a-3 one of five.
    expect([...busiest]).toEqual([
      ["a", 4 * 35],
      ["b", 4 * 2 * 3],
    ]);
    expect([...sent]).toEqual([["a", 4 * 2 * 7]]);
    expect([...taken]).toEqual([["b", 4 * 2 * 7]]);
  });

  test("what sites send others take; a plan that stays the same moves nothing", () => {
    fc.assert(
      fc.property(changes, (change) => {
        const { config, old, plan } = plansOf(change);
        const holders = holdersOf(config, old);
        const { sent, taken } = moveTraffic(movesTo(config, plan, holders)!, siteOf);
        const total = (bytes: ReadonlyMap<string, number>) => [...bytes.values()].reduce((a, b) => a + b, 0);
        expect(total(sent)).toBe(total(taken));
        const holding = new Set(holders.map(({ site }) => site));
        for (const site of sent.keys()) expect(holding).toContain(site);
        const same = moveTraffic(movesTo(config, old, holders)!, siteOf);
        // But the tied embedding's copies, which are nobody's own.
        if (!config.model.tied)
          expect(same).toEqual({ busiest: new Map(), sent: new Map(), taken: new Map() });
        else expect(same.sent.size).toBe(0);
      }),
    );
  });
});
