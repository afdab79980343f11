// A run with fake workers, for tests of its course: what they were told, what it told, what it saved. A new one a test.
import { beforeEach } from "vitest";
import { byteTokenizer } from "../../core/formats/tokenizer.ts";
import type { RunConfig } from "../../core/model/config.ts";
import type { RunEvent } from "../../core/protocol/events.ts";
import type { Checkpoint, Checkpoints } from "../../server/checkpoints.ts";
import type { Corpus } from "../../server/corpus.ts";
import { NOTHING_MEASURED } from "../../core/plan/measured.ts";
import type { WorkerSpeed } from "../../core/plan/speed.ts";
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
/** Checkpoints. */
export let saved: Checkpoint[];
export let workers: Map<string, FakeWorker>;
/** That take no part for now. */
export let paused: Set<string>;
export let speeds: Map<string, WorkerSpeed>;

/** As before a test. */
export function reset(): void {
  events = [];
  saved = [];
  workers = new Map();
  paused = new Set();
  speeds = new Map();
}
beforeEach(reset);

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
      keepLatest: async () => {},
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
  const ears = {
    alive: run.watchdog.alive.bind(run.watchdog),
    dismiss: (worker: string, reason: string) => {
      workers.delete(worker);
      run.lose(worker, `was dismissed: ${reason}`);
    },
  };
  for (const id of ids)
    workers.set(
      id,
      fakeWorker(id, (worker, answer) => run.deliver(worker, answer), change, ears),
    );
}

/** Events of a kind. */
export const of = <K extends RunEvent["event"]>(kind: K) =>
  events.filter((event): event is Extract<RunEvent, { event: K }> => event.event === kind);
export const orders = (id: string, type: string) =>
  workers.get(id)!.orders.filter((order) => order.type === type);
