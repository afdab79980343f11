// The life of one run: forms a generation of the workers there are, takes it from step to step, commits each step
// exactly once, and starts a new generation from the latest checkpoint when a worker is lost.
// Not here: who is connected and which run is active (coordinator.ts), how workers compute (web/worker).
import type { RunConfig } from "../core/model/config.ts";
import { PlanImpossible } from "../core/plan/plan-impossible.ts";
import { MOST_FRUITLESS, type Occasion } from "../core/plan/replanning.ts";
import { positionOf, type Plan } from "../core/plan/plan.ts";
import {
  sampleActivationBytes,
  stepActivationBytes,
  validationActivationBytes,
} from "../core/plan/traffic.ts";
import type { ClientMessage, Shard } from "../core/protocol/control.ts";
import type { DoneEvent, RunEvent, RunStatus } from "../core/protocol/events.ts";
import type { Checkpoint, Checkpoints } from "./checkpoints.ts";
import { Cohort, DoesNotFit, RunImpossible, WorkerLost } from "./cohort.ts";
import type { WorkerPort } from "./coordinator-port.ts";
import type { Corpus } from "./corpus.ts";
import type { Candidates, Planning } from "./planning.ts";
import { total, Tally } from "./tally.ts";
import { RoundsStrategy } from "./strategy/rounds.ts";
import { meanLoss, type CommittedStep, type Strategy } from "./strategy/strategy.ts";
import { syncStrategy } from "./strategy/sync.ts";
import { describePlanned } from "../core/plan/describe-prediction.ts";

const SAMPLE_TOKENS = 48;
const SAMPLE_TEMPERATURE = 0.7;

export interface Crew extends Candidates {
  readonly ports: ReadonlyMap<string, WorkerPort>;
}

export interface RunParts {
  readonly id: string;
  /** Number that its frames carry. */
  readonly number: number;
  readonly config: RunConfig;
  readonly planning: Planning;
  readonly corpus: Corpus;
  readonly checkpoints: Checkpoints;
  /** Where it starts: a checkpoint of its own (step > 0), an imported model, or null for the seed. */
  readonly start: Checkpoint | null;
  /** Workers ready to take part. */
  readonly crew: () => Crew;
  /** The same, once there is one, or the run is stopping. */
  readonly someCrew: () => Promise<Crew>;
  readonly emit: (event: RunEvent) => void;
  readonly changed: () => void;
}

/** Asked for from outside, carried out between two steps. */
type Wish = "stop" | "replan";

export class Run {
  readonly #parts: RunParts;
  status: RunStatus = "waiting";
  step = 0;
  plan: Plan | null = null;
  checkpoint: Checkpoint | null;
  #cohort: Cohort | null = null;
  #generation = 0;
  #wish: Wish | null = null;
  #paused: { promise: Promise<void>; resolve: () => void } | null = null;
  #lastLoss: number | null = null;
  #validLoss: number | null = null;
  #bytesNeeded = 0;
  #fruitless = 0;
  #stepsRetried = 0;
  #stepsLeftOut = 0;
  #stepBegan = 0;
  #workersLost = 0;
  readonly tally = new Tally();

  constructor(parts: RunParts) {
    this.#parts = parts;
    this.checkpoint = parts.start;
    if (parts.start?.run === parts.id) this.step = parts.start.step;
  }

  get id(): string {
    return this.#parts.id;
  }

  get config(): RunConfig {
    return this.#parts.config;
  }

  /** Runs to the end: done, stopped or failed. Never rejects; what went wrong is an event. */
  async drive(): Promise<void> {
    try {
      while (this.step < this.config.steps && this.#wish !== "stop") {
        try {
          await this.#runGeneration();
        } catch (error) {
          const another =
            error instanceof WorkerLost || (error instanceof DoesNotFit && this.#fitsOtherwise(error.worker));
          if (!another) throw error;
          if (++this.#fruitless === MOST_FRUITLESS) {
            throw new RunImpossible(
              `${MOST_FRUITLESS} generations in a row came to no step; the last: ${error.message}`,
            );
          }
          this.#rewind(error.message);
        }
      }
      if (this.#wish === "stop") {
        this.#setStatus("stopped");
        this.#parts.emit({ event: "stopped", step: this.step });
      } else {
        this.#setStatus("done");
        this.#parts.emit(this.#doneEvent());
      }
    } catch (error) {
      this.#cohort?.tell({ type: "release", generation: this.#generation, reason: "the run failed" });
      this.#setStatus("failed");
      this.#parts.emit({
        event: "failed",
        message: error instanceof Error ? error.message : String(error),
        cause: error instanceof DoesNotFit || error instanceof PlanImpossible ? "configuration" : "failure",
      });
    } finally {
      this.#cohort = null;
      this.plan = null;
    }
  }

  get stopping(): boolean {
    return this.#wish === "stop";
  }

  stop(): void {
    this.#wish = "stop";
    this.setPaused(false);
  }

  /** When another plan is worth it by now: a new generation, after the step in progress. */
  reconsider(occasion: Occasion): void {
    if (!this.plan || this.#wish) return;
    if (this.#parts.planning.wantsAnother(this.plan, this.#parts.crew, occasion)) this.#wish = "replan";
  }

  setPaused(paused: boolean): void {
    if (paused === (this.#paused !== null)) return;
    if (paused) {
      let resolve = () => {};
      const promise = new Promise<void>((settle) => (resolve = settle));
      this.#paused = { promise, resolve };
    } else {
      this.#paused?.resolve();
      this.#paused = null;
    }
    this.#parts.emit({ event: "paused", paused });
  }

  takesPart(worker: string): boolean {
    return this.#cohort?.needs(worker) ?? false;
  }

  deliver(worker: string, message: Extract<ClientMessage, { generation: number }>): void {
    if (this.takesPart(worker)) this.tally.take(worker, message);
    this.#cohort?.deliver(worker, message);
  }

  lose(worker: string, reason: string): void {
    if (!this.takesPart(worker) || this.#cohort!.letGo(worker)) return;
    this.#workersLost++;
    this.#cohort!.fail(new WorkerLost(`worker ${worker} ${reason}`));
  }

  async #runGeneration(): Promise<void> {
    this.#setStatus("waiting");
    const crew = await this.#parts.someCrew();
    if (this.stopping) return;
    this.#wish = null;
    const planned = this.#parts.planning.plan(crew);
    const { plan } = planned;
    const members = plan.replicas.flatMap(({ stages }) =>
      stages.map(({ worker }) => crew.ports.get(worker)!),
    );
    const cohort = new Cohort(++this.#generation, members);
    this.#cohort = cohort;
    this.plan = plan;
    this.#parts.emit({
      event: "plan",
      generation: this.#generation,
      lines: describePlanned(this.config, planned),
      speeds: Object.fromEntries(crew.measured.workers),
    });
    this.#setStatus("preparing");
    await cohort.ask((worker) => this.#assignment(plan, worker), "prepared");
    this.#setStatus("training");
    const strategy = this.#strategy(cohort, plan);
    while (this.step < this.config.steps && !this.#wish) {
      await this.#train(cohort, plan, strategy);
      if (this.#paused && !this.#wish) await this.#holdWhilePaused();
    }
    if (this.#wish && this.checkpoint?.step !== this.step) await this.#save(cohort, strategy);
    await cohort.ask(
      {
        type: "release",
        generation: this.#generation,
        reason: this.#wish ? `run ${this.#wish}` : "run done",
      },
      "released",
    );
  }

  #assignment(plan: Plan, worker: string) {
    const { id, number, config, corpus } = this.#parts;
    const from = this.checkpoint;
    return {
      type: "assign" as const,
      generation: this.#generation,
      run: id,
      runNumber: number,
      config,
      plan,
      tokens: corpus.source,
      state: from
        ? {
            kind: "checkpoint" as const,
            step: from.step,
            optimizer: from.optimizer,
            shards: shardsFor(plan, worker, from.shards),
          }
        : { kind: "seed" as const },
    };
  }

  #strategy(cohort: Cohort, plan: Plan): Strategy {
    const { config } = this;
    const { strategy } = config;
    const parts = { config, plan, cohort, onStep: (step: CommittedStep) => this.#onStep(plan, step) };
    if (strategy.kind === "sync") return syncStrategy(parts);
    return new RoundsStrategy({
      ...parts,
      strategy,
      tokens: this.checkpoint?.tokens ?? {},
      onLeftOut: (steps, replicas) => {
        this.#stepsLeftOut += steps;
        this.#bytesNeeded -= steps * stepActivationBytes(config, replicas);
      },
      onDeviation: (step, { part, to }) => this.#parts.emit({ event: "repaired", step, part, worker: to }),
    });
  }

  #onStep(plan: Plan, step: CommittedStep): void {
    const now = performance.now();
    this.step = step.step;
    this.#fruitless = 0;
    this.#lastLoss = step.loss;
    this.#bytesNeeded += stepActivationBytes(this.config, plan.replicas);
    this.#parts.emit({ event: "step", ...step, seconds: (now - this.#stepBegan) / 1000 });
    this.#stepBegan = now;
    this.reconsider("speeds");
  }

  /** Trains to the next step after which something is due, or to where it is interrupted. */
  async #train(cohort: Cohort, plan: Plan, strategy: Strategy): Promise<void> {
    const { validEvery, sampleEvery, checkpointEvery, steps } = this.config;
    const next = (every: number) => (Math.floor(this.step / every) + 1) * every;
    const until = Math.min(steps, ...[validEvery, sampleEvery, checkpointEvery].map(next));
    const from = this.step;
    this.#stepBegan = performance.now();
    await strategy.advance(from, until, () => this.#wish !== null || this.#paused !== null);
    if (this.step > from) await this.#dueAfterStep(cohort, plan, strategy);
  }

  async #dueAfterStep(cohort: Cohort, plan: Plan, strategy: Strategy): Promise<void> {
    const due = (every: number) => this.step % every === 0 || this.step === this.config.steps;
    if (due(this.config.validEvery)) await this.#validate(cohort, plan);
    if (due(this.config.sampleEvery)) await this.#sample(cohort, plan);
    if (due(this.config.checkpointEvery)) await this.#save(cohort, strategy);
  }

  async #validate(cohort: Cohort, plan: Plan): Promise<void> {
    const { step, config } = this;
    const answers = await cohort.ask({ type: "validate", generation: cohort.generation, step }, "validated");
    const { loss, tokens } = meanLoss(plan.replicas, answers);
    if (!Number.isFinite(loss)) throw new RunImpossible(`step ${step}: the validation loss is not finite`);
    const { count, validFrom } = this.#parts.corpus.source;
    this.#bytesNeeded += validationActivationBytes(config, plan, count - validFrom);
    this.#validLoss = loss;
    this.#parts.emit({ event: "valid", step, loss, tokens });
  }

  async #sample(cohort: Cohort, plan: Plan): Promise<void> {
    const { prompt, tokenizer } = this.#parts.corpus;
    const first = plan.replicas[0]!.stages.map(({ worker }) => worker);
    const answers = await cohort.ask(
      {
        type: "sample",
        generation: cohort.generation,
        step: this.step,
        prompt,
        tokens: SAMPLE_TOKENS,
        temperature: SAMPLE_TEMPERATURE,
        seed: this.config.seed,
      },
      "sampled",
      first,
    );
    this.#bytesNeeded += sampleActivationBytes(this.config, plan, prompt.length, SAMPLE_TOKENS);
    const text = tokenizer.decode([...prompt, ...answers.get(first.at(-1)!)!.tokens]);
    this.#parts.emit({ event: "sample", step: this.step, text });
  }

  async #save(cohort: Cohort, { savers, tokens }: Strategy): Promise<void> {
    const { id, config, corpus, checkpoints } = this.#parts;
    const { step } = this;
    const answers = await cohort.ask({ type: "save", generation: cohort.generation, step }, "saved", savers);
    const checkpoint: Checkpoint = {
      id: `${id}-step-${step}`,
      run: id,
      step,
      model: config.model,
      optimizer: true,
      shards: savers.map((worker) => answers.get(worker)!.shard),
      ...(tokens && { tokens }),
      tokenizer: corpus.tokenizerHash,
    };
    await checkpoints.save(checkpoint);
    this.checkpoint = checkpoint;
    this.#parts.emit({ event: "checkpoint", step, checkpoint: checkpoint.id });
  }

  #fitsOtherwise(worker: string): boolean {
    return this.#parts.planning.learnThatTooMuch(this.plan!, worker, this.#parts.crew());
  }

  /** Back to the latest checkpoint: its steps are committed, those after it are done again. */
  #rewind(reason: string): void {
    const step = this.checkpoint?.run === this.id ? this.checkpoint.step : 0;
    this.#stepsRetried += this.step - step + 1;
    this.step = step;
    this.#cohort?.tell({ type: "release", generation: this.#generation, reason });
    this.#cohort = null;
    this.#parts.emit({ event: "recovered", step, generation: this.#generation + 1, reason });
  }

  async #holdWhilePaused(): Promise<void> {
    this.#setStatus("paused");
    await this.#paused?.promise;
    this.#setStatus("training");
  }

  #doneEvent(): DoneEvent {
    const { tally } = this;
    const site = tally.bytesBy("site");
    const wide = tally.bytesBy("wide");
    return {
      event: "done",
      run: this.id,
      steps: this.step,
      loss: this.#lastLoss,
      validLoss: this.#validLoss,
      siteBytes: total(site),
      wideBytes: total(wide),
      siteBytesBy: site,
      wideBytesBy: wide,
      byWorker: tally.byWorker(),
      computing: tally.computing,
      overlapped: tally.overlapped,
      activationBytesNeeded: this.#bytesNeeded,
      stepsRetried: this.#stepsRetried,
      stepsLeftOut: this.#stepsLeftOut,
      workersLost: this.#workersLost,
      checkpoint: this.checkpoint?.id ?? null,
    };
  }

  #setStatus(status: RunStatus): void {
    this.status = status;
    this.#parts.changed();
  }
}

/** What a worker needs of a checkpoint's shards: where sites have states of their own, its site's, or the first's. */
function shardsFor(plan: Plan, worker: string, shards: readonly Shard[]): Shard[] {
  const own = plan.replicas[positionOf(plan, worker)!.replica]!.site;
  const site = shards.some((shard) => shard.site === own) ? own : shards[0]?.site;
  return shards.filter((shard) => shard.site === site);
}
