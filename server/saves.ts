// A run's checkpoint on its way: workers draft their shards after the same step, upload them beside the training, and the
// manifest is written once all are stored. One at a time: none begins before the last has ended, in a checkpoint or not. It
// outlives its generation, as what was drafted does not change any more. Where sites save states of their own, each is a
// whole model's: should a site's not come together, the checkpoint does without it.
// Not here: when one is due, and who has to wait for it (run.ts), the manifest's file (checkpoints.ts).
import type { RunConfig } from "../core/model/config.ts";
import type { ClientMessage, Shard, WorkerMessage } from "../core/protocol/control.ts";
import type { RunEvent } from "../core/protocol/events.ts";
import type { Checkpoint, Checkpoints } from "./checkpoints.ts";
import { RunImpossible, type Cohort } from "./cohort.ts";
import type { WorkerPort } from "./coordinator-port.ts";
import type { Corpus } from "./corpus.ts";
import { log } from "./log.ts";
import type { Strategy } from "./strategy/strategy.ts";

/** Times that a run's last checkpoint is tried. */
const MOST_TRIES = 3;

type SaveAnswer = Extract<ClientMessage, { type: "saved" | "unsaved" }>;

export interface SavesParts {
  /** Of the run. */
  readonly id: string;
  readonly config: Pick<RunConfig, "model" | "keepCheckpoints">;
  readonly corpus: Pick<Corpus, "source" | "tokenizerHash">;
  readonly checkpoints: Pick<Checkpoints, "save" | "keepLatest">;
  /** Where the run starts: of its own or not. */
  readonly start: Checkpoint | null;
  readonly emit: (event: RunEvent) => void;
  readonly onStored: () => void;
}

interface Save {
  readonly generation: number;
  /** But for its shards. */
  readonly draft: Omit<Checkpoint, "shards">;
  /** Of sites whose states are to be in it. */
  savers: readonly WorkerPort[];
  readonly shards: Map<string, Shard>;
  /** Other sites, in words, and why. */
  readonly without: string[];
}

export class Saves {
  readonly #parts: SavesParts;
  /** What the run would go back to. */
  latest: Checkpoint | null;
  #underWay: Save | null = null;
  /** With why it came to nothing, if it did. */
  #ended: Promise<string | null> = Promise.resolve(null);
  #end = (_reason: string | null): void => {};

  constructor(parts: SavesParts) {
    this.#parts = parts;
    this.latest = parts.start;
  }

  /** Of the latest checkpoint; null when the run has none of its own. */
  get step(): number | null {
    return this.latest?.run === this.#parts.id ? this.latest.step : null;
  }

  /** Whose shards are missing. */
  get owing(): WorkerPort[] {
    return this.#underWay?.savers.filter(({ id }) => !this.#underWay!.shards.has(id)) ?? [];
  }

  /** Has workers save what they hold after `step`, which they have just done. Nobody waits for it. */
  begin(step: number, cohort: Cohort, { savers, tokens }: Pick<Strategy, "savers" | "tokens">): void {
    if (this.#underWay) {
      const { step: earlier } = this.#underWay.draft;
      return this.#say(step, `that of step ${earlier} is still on its way: a larger checkpointEvery helps`);
    }
    const gone = savers.find((worker) => !cohort.workers.includes(worker));
    if (gone) return this.#say(step, `worker ${gone} was lost`);
    const { id: run, config, corpus } = this.#parts;
    const { generation } = cohort;
    this.#underWay = {
      generation,
      draft: {
        id: `${run}-step-${step}`,
        run,
        step,
        model: config.model,
        optimizer: true,
        ...(tokens && { tokens }),
        tokenizer: corpus.tokenizerHash,
      },
      savers: savers.map((worker) => cohort.port(worker)),
      shards: new Map(),
      without: [],
    };
    this.#ended = new Promise((resolve) => (this.#end = resolve));
    tell(this.#underWay.savers, { type: "save", generation, step });
  }

  /**
   * Nothing is done after `step`: waits for a checkpoint of it, and tries again where something goes wrong.
   * @throws WorkerLost, RunImpossible
   */
  async complete(step: number, cohort: Cohort, strategy: Pick<Strategy, "savers" | "tokens">): Promise<void> {
    let reason = await cohort.within(this.#ended);
    for (let tries = MOST_TRIES; this.step !== step; tries--) {
      if (tries === 0) throw new RunImpossible(`the last checkpoint could not be saved: ${reason}`);
      this.begin(step, cohort, strategy);
      reason = await cohort.within(this.#ended);
    }
  }

  /** Takes a worker's answer; one to another save is dropped. */
  deliver(worker: string, answer: SaveAnswer): void {
    const save = this.#awaiting(worker);
    if (!save || answer.generation !== save.generation || answer.step !== save.draft.step) return;
    if (answer.type === "unsaved") return this.#doWithout(save, worker, `worker ${worker}: ${answer.reason}`);
    save.shards.set(worker, answer.shard);
    this.#storeWhenWhole(save);
  }

  /** The worker is gone. What it has stored already stays. */
  lose(worker: string, reason: string): void {
    const save = this.#awaiting(worker);
    if (save) this.#doWithout(save, worker, `worker ${worker} ${reason}`);
  }

  /** Resolves when none is under way. */
  async settled(): Promise<void> {
    await this.#ended;
  }

  /** The save under way, if the worker's part is missing. */
  #awaiting(worker: string): Save | null {
    const save = this.#underWay;
    return save?.savers.some(({ id }) => id === worker) && !save.shards.has(worker) ? save : null;
  }

  #storeWhenWhole(save: Save): void {
    if (save.savers.every(({ id }) => save.shards.has(id))) void this.#store(save);
  }

  async #store({ draft, savers, shards, without }: Save): Promise<void> {
    const { step, id, tokens, ...rest } = draft;
    const isIn = (site: string) => savers.some((saver) => saver.site === site);
    const checkpoint: Checkpoint = {
      ...rest,
      id,
      step,
      ...(tokens && { tokens: Object.fromEntries(Object.entries(tokens).filter(([site]) => isIn(site))) }),
      shards: savers.map((saver) => shards.get(saver.id)!),
    };
    try {
      await this.#parts.checkpoints.save(checkpoint);
    } catch (error) {
      return this.#over(step, (error as Error).message);
    }
    this.latest = checkpoint;
    this.#parts.emit({ event: "checkpoint", step, checkpoint: id, ...(without.length > 0 && { without }) });
    this.#parts.onStored();
    await this.#deleteOld();
    this.#over(step, null);
  }

  /** While none is on its way: what no checkpoint names is then nobody's. */
  async #deleteOld(): Promise<void> {
    const { id, config, corpus, checkpoints } = this.#parts;
    const { keepCheckpoints: count } = config;
    if (count === "all") return;
    const inUse = [corpus.source.hash, ...(corpus.tokenizerHash ? [corpus.tokenizerHash] : [])];
    await checkpoints
      .keepLatest(id, count, inUse)
      .catch((error: unknown) => log.warn({ error }, "old checkpoints could not be deleted"));
  }

  /** Without the site of a worker whose part there will not be. */
  #doWithout(save: Save, worker: string, reason: string): void {
    const { generation, draft, savers, shards, without } = save;
    const { step } = draft;
    const { site } = savers.find(({ id }) => id === worker)!;
    const others = savers.filter(
      (saver) => saver.site === site && saver.id !== worker && !shards.has(saver.id),
    );
    tell(others, { type: "discard", generation, step });
    save.savers = savers.filter((saver) => saver.site !== site);
    if (save.savers.length === 0) return this.#over(step, reason);
    without.push(`what site ${site} has of its own: ${reason}`);
    this.#storeWhenWhole(save);
  }

  #over(step: number, reason: string | null): void {
    this.#underWay = null;
    if (reason !== null) this.#say(step, reason);
    this.#end(reason);
  }

  /** Why there will be no checkpoint of the step. */
  #say(step: number, reason: string): void {
    this.#parts.emit({ event: "unsaved", step, reason });
  }
}

function tell(workers: readonly WorkerPort[], order: WorkerMessage): void {
  for (const worker of workers) worker.send(order);
}
