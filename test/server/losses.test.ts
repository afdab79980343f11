// Strategy `rounds` when workers are lost, or come, at any moment: what the others hold is one state of the run.
import fc from "fast-check";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { byteTokenizer } from "../../core/formats/tokenizer.ts";
import type { RoundsConfig } from "../../core/model/config.ts";
import { NOTHING_MEASURED } from "../../core/plan/measured.ts";
import type { RunEvent } from "../../core/protocol/events.ts";
import { Random } from "../../core/random.ts";
import type { Checkpoints } from "../../server/checkpoints.ts";
import { Planning } from "../../server/planning.ts";
import { Run } from "../../server/run.ts";
import { roundsStrategy, tinyConfig } from "../fixtures/configs.ts";
import { HASH } from "./fake-workers.ts";
import { exchangeOf, ModelWorkers, type ModelWorker } from "./model-workers.ts";

// What steps take decides on which are left out.
beforeEach(() => void vi.useFakeTimers({ toFake: ["performance"] }));
afterEach(() => void vi.useRealTimers());

const STEPS = 20;

interface Happening {
  /** How much has happened before. */
  readonly after: number;
  readonly kind: "leaves" | "joins";
  readonly worker: string;
}

interface Scenario {
  readonly strategy: RoundsConfig;
  readonly stages: number;
  readonly seed: number;
  /** Steps between validations, and between checkpoints. */
  readonly every: number;
  /** Who is there from the beginning. */
  readonly workers: readonly string[];
  readonly happenings: readonly Happening[];
}

/** To the end. Every event, and what each worker holds when it is released. */
async function play({ strategy, stages, seed, every, workers, happenings }: Scenario) {
  const due = { validEvery: every, checkpointEvery: every };
  const config = tinyConfig({ strategy, stages, steps: STEPS, batch: 16, ...due });
  const random = new Random(seed);
  const below = (count: number) => Math.floor(random.unit() * count);
  const events: RunEvent[] = [];
  const all = new ModelWorkers(config, below, (worker, answer) => run.deliver(worker, answer));
  const crew = () => {
    const sites = new Map<string, string[]>();
    for (const { id, site } of all.ports) sites.set(site, [...(sites.get(site) ?? []), id]);
    return { sites, ports: new Map(all.ports.map((port) => [port.id, port])), measured: NOTHING_MEASURED };
  };
  const run = new Run({
    id: "run-1",
    number: 1,
    config,
    planning: new Planning(config, () => 0),
    corpus: {
      source: { hash: HASH, bytesPerToken: 1, count: 1000, validFrom: 900 },
      tokenizer: byteTokenizer,
      tokenizerHash: null,
      prompt: [79],
    },
    checkpoints: { save: async () => {}, keepLatest: async () => {} } as unknown as Checkpoints,
    start: null,
    crew,
    someCrew: async () => crew(),
    emit: (event) => events.push(event),
    changed: () => {},
  });
  for (const worker of workers) all.join(worker);
  const driven = run.drive().then(() => true);
  const turn = () => new Promise<false>((resolve) => setImmediate(() => resolve(false)));
  const pending = happenings.toSorted((a, b) => a.after - b.after);
  const last = new Map<ModelWorker, NonNullable<ModelWorker["stage"]>>();
  for (let happened = 0; !(await Promise.race([driven, turn()])); happened++) {
    vi.advanceTimersByTime(below(100));
    for (const worker of all.ports.map(({ id }) => all.get(id)!)) {
      if (worker.stage) last.set(worker, worker.stage);
    }
    if (pending[0] && pending[0].after <= happened) {
      const { kind, worker } = pending.shift()!;
      if (kind === "joins" && !all.get(worker)) {
        all.join(worker);
        run.reconsider("members");
      } else if (kind === "leaves" && all.get(worker)) {
        all.leave(worker);
        run.lose(worker, "left");
      }
      continue;
    }
    expect(all.happen() || pending.length > 0, "the run waits for nothing").toBe(true);
  }
  await turn();
  return {
    events,
    stages: [...last].filter(([{ port }]) => all.get(port.id)).map(([, stage]) => stage),
    all,
  };
}

const strategies = fc.constantFrom(
  roundsStrategy({ inner: 6, fragments: 2, overlap: 0 }),
  roundsStrategy({ inner: 6, fragments: 2, overlap: 2 }),
  roundsStrategy({ inner: 8, fragments: 1, overlap: 3, bits: 4 }),
  roundsStrategy({ inner: 6, fragments: 2, overlap: 2, bits: 2, merge: 0 }),
  roundsStrategy({ inner: 6, fragments: 2, overlap: 1, bits: 1, merge: 0 }),
);
/** Site a stays as it is. */
const passing = fc.constantFrom("b-1", "b-2", "b-3", "b-4", "c-1", "c-2");
const scenarios = fc.record({
  strategy: strategies,
  stages: fc.constantFrom(1, 2),
  seed: fc.nat(),
  every: fc.constantFrom(1000, 3, 2),
  workers: fc
    .subarray(["b-1", "b-2", "b-3", "b-4", "c-1", "c-2"], { minLength: 1 })
    .map((others) => ["a-1", "a-2", ...others]),
  happenings: fc.array(
    fc.record({
      after: fc.integer({ min: 0, max: 900 }),
      kind: fc.constantFrom("leaves" as const, "leaves" as const, "joins" as const),
      worker: passing,
    }),
    { maxLength: 6 },
  ),
});

test("whoever leaves or comes, nobody goes back, no step is done twice, and sites hold the same", async () => {
  let [lost, restarted, takenAtHome] = [0, 0, 0];
  await fc.assert(
    fc.asyncProperty(scenarios, async (scenario) => {
      const { strategy } = scenario;
      const { events, stages, all } = await play(scenario);
      const of = <K extends RunEvent["event"]>(kind: K) =>
        events.filter((event): event is Extract<RunEvent, { event: K }> => event.event === kind);
      expect(of("failed")).toEqual([]);
      expect(all.unlike).toEqual([]);
      // What sites agree on comes from another site only where nobody of one's own has it.
      expect(all.takenElsewhere).toBe(0);
      takenAtHome += all.takenAtHome;
      expect(of("step").map(({ step }) => step)).toEqual(Array.from({ length: STEPS }, (_, i) => i + 1));
      expect(of("done")).toMatchObject([{ steps: STEPS, checkpoint: `run-1-step-${STEPS}` }]);
      lost += of("done")[0]!.workersLost;
      if (of("recovered").some(({ reason }) => reason.includes("has trained"))) restarted++;

      const generation = Math.max(...stages.map(({ assignment }) => assignment.generation));
      const now = stages.filter(({ assignment }) => assignment.generation === generation);
      for (const [place, { fragment }] of all.places) {
        const here = now.filter(({ places }) => places.has(place));
        const leaders = here.filter(({ leads }) => leads);
        // What all sites agree on came about in the same exchanges, with the same weights; each once, in order.
        const { agreed } = leaders[0]!.places.get(place)!;
        for (const { places } of here) expect(places.get(place)!.agreed).toEqual(agreed);
        const exchanged = agreed.map(exchangeOf);
        expect(exchanged).toEqual([...new Set(exchanged)].sort((a, b) => a - b));
        const due = Array.from({ length: STEPS - 1 }, (_, i) => i + 1).filter(
          (step) =>
            step % strategy.inner ===
            ((strategy.inner * (fragment + 1)) / strategy.fragments) % strategy.inner,
        );
        expect(exchanged).toEqual([...due, STEPS]);
        // What is saved at a step has all that was due by then.
        for (const { step, exchanges } of all.saved.filter((saved) => saved.place === place)) {
          if (step < STEPS) expect(exchanges).toEqual(due.filter((at) => at <= step));
        }
        for (const { keeps, site, places } of here) {
          const { trained, unsaid } = places.get(place)!;
          // Replicas of a site are alike.
          expect(trained).toEqual(leaders.find((leader) => leader.site === site)!.places.get(place)!.trained);
          const steps = trained.filter((one) => one.startsWith("step")).map((one) => Number(one.slice(5)));
          expect(steps).toEqual([...new Set(steps)].sort((a, b) => a - b));
          // Each exchange took effect once, no sooner than it was due, and before the step after that.
          const merges = trained.filter((one) => one.startsWith("merge")).map((one) => Number(one.slice(6)));
          expect(merges).toEqual(exchanged);
          for (const at of merges) {
            const index = trained.indexOf(`merge ${at}`);
            const before = trained.slice(0, index).findLast((one) => one.startsWith("step"));
            const after = trained.slice(index).find((one) => one.startsWith("step"));
            const takesEffect = Math.min(STEPS, at + strategy.overlap);
            expect(before === undefined || Number(before.slice(5)) <= takesEffect).toBe(true);
            expect(after === undefined || Number(after.slice(5)) > takesEffect).toBe(true);
          }
          // What was left unsaid at the latest exchanges, without a gap since it began at nothing.
          const said = exchanged.map(String);
          if (keeps) expect(unsaid).toEqual(said.slice(said.length - unsaid.length));
        }
        // A site's tokens weigh once.
        const ofA = agreed.map((exchange) => Number(/ a:(\d+)/.exec(exchange)![1]));
        const { trained } = here.find(({ site, leads }) => site === "a" && leads)!.places.get(place)!;
        const replicas = 2 / scenario.stages;
        const steps = trained.filter((one) => one.startsWith("step")).length;
        expect(ofA.reduce((sum, tokens) => sum + tokens, 0)).toBe(64 * replicas * steps);
        expect(here.find(({ site, leads }) => site === "a" && leads)!.places.get(place)!.unsaid).toEqual(
          exchanged.map(String),
        );
      }
    }),
    { numRuns: 40, seed: 1 },
  );
  expect(lost).toBeGreaterThan(0);
  expect(restarted).toBeGreaterThan(0);
  expect(takenAtHome).toBeGreaterThan(0);
}, 120_000);
