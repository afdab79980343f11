// A run of workers without a browser, for tests of its course: what it was made of, what it said and what it stored.
import { byteTokenizer } from "../../core/formats/tokenizer.ts";
import type { RunConfig } from "../../core/model/config.ts";
import { NOTHING_MEASURED } from "../../core/plan/measured.ts";
import type { WorkerSpeed } from "../../core/plan/speed.ts";
import type { RunEvent } from "../../core/protocol/events.ts";
import type { Checkpoint, Checkpoints } from "../../server/checkpoints.ts";
import type { Corpus } from "../../server/corpus.ts";
import { Planning } from "../../server/planning.ts";
import { Run, type Crew } from "../../server/run.ts";
import { tinyConfig } from "../fixtures/configs.ts";
import { fakeWorker, HASH, type FakeWorker } from "./fake-workers.ts";

const corpus: Corpus = {
  source: { hash: HASH, bytesPerToken: 1, count: 1000, validFrom: 900 },
  tokenizer: byteTokenizer,
  tokenizerHash: null,
  prompt: [79, 104],
};

export let events: RunEvent[];
export let saved: Checkpoint[];
export let workers: Map<string, FakeWorker>;
/** That take no part for now. */
export let paused: Set<string>;
export let speeds: Map<string, WorkerSpeed>;

export function reset(): void {
  paused = new Set();
  speeds = new Map();
  events = [];
  saved = [];
  workers = new Map();
}

export function makeRun(changes: Partial<RunConfig> = {}, start: Checkpoint | null = null): Run {
  const config = tinyConfig({ steps: 6, ...changes });
  // This test's: a run may have the last of its steps to tell when it has ended.
  const log = events;
  return new Run({
    id: "run-1",
    number: 1,
    config,
    // Thinking takes no time.
    planning: new Planning(config, () => 0),
    corpus,
    checkpoints: {
      save: async (checkpoint: Checkpoint) => void saved.push(checkpoint),
    } as unknown as Checkpoints,
    start,
    crew,
    someCrew: async () => crew(),
    emit: (event) => log.push(event),
    changed: () => {},
  });
}

function crew(): Crew {
  const sites = new Map<string, string[]>();
  const ready = [...workers.values()].filter(({ port }) => !paused.has(port.id));
  for (const { port } of ready) sites.set(port.site, [...(sites.get(port.site) ?? []), port.id]);
  const ports = new Map(ready.map(({ port }) => [port.id, port]));
  return { sites, ports, measured: { ...NOTHING_MEASURED, workers: speeds } };
}

/** In FLOP/s. */
export const speedOf = (rate: number): WorkerSpeed => ({ block: rate, head: rate, overhead: 0, memory: 1e9 });

export function addWorkers(run: Run, ids: string[], change?: Parameters<typeof fakeWorker>[2]): void {
  for (const id of ids)
    workers.set(
      id,
      fakeWorker(id, (worker, answer) => run.deliver(worker, answer), change),
    );
}

export const of = <K extends RunEvent["event"]>(kind: K) =>
  events.filter((event): event is Extract<RunEvent, { event: K }> => event.event === kind);
export const orders = (id: string, type: string) =>
  workers.get(id)!.orders.filter((order) => order.type === type);
