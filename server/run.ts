// The life of one run: forms a generation of the workers there are, takes it from step to step, commits each step
// exactly once, and starts a new generation when another plan is better or a worker is lost: from the state that workers
// keep, or else from the latest checkpoint.
// Not here: who is connected and which run is active (coordinator.ts), how workers compute (web/worker), who keeps what
// between generations (handover.ts).
import type { RunConfig } from "../core/model/config.ts";
import { describePlanned } from "../core/plan/describe-prediction.ts";
import { nextDue } from "../core/plan/due.ts";
import { PlanImpossible } from "../core/plan/plan-impossible.ts";
import type { Occasion } from "../core/plan/replanning.ts";
import { outlivesLosses, type Moves } from "../core/plan/moves.ts";
import { leadReplicas, linksOf, positionOf, type Plan, type PlannedLink } from "../core/plan/plan.ts";
import { evenProgress } from "../core/plan/progress.ts";
import { stepActivationBytes } from "../core/plan/traffic.ts";
import { errorText, MessageTooLong, type ClientMessage } from "../core/protocol/control.ts";
import type { RunEvent, RunStatus } from "../core/protocol/events.ts";
import { firstOrder, type Beginning } from "./assignments.ts";
import { BetweenSteps } from "./between-steps.ts";
import type { Checkpoint, Checkpoints } from "./checkpoints.ts";
import { Cohort, DoesNotFit, RunImpossible, WorkerGone, WorkerLost } from "./cohort.ts";
import type { WorkerPort } from "./coordinator-port.ts";
import type { Corpus } from "./corpus.ts";
import { Handover } from "./handover.ts";
import type { Candidates, Planning } from "./planning.ts";
import { Saves } from "./saves.ts";
import { Tally } from "./tally.ts";
import { RoundsStrategy, type RoundsProgress } from "./strategy/rounds.ts";
import type { CommittedStep, Strategy } from "./strategy/strategy.ts";
import { syncStrategy } from "./strategy/sync.ts";
import { Watchdog } from "./watchdog.ts";
import { Wishes } from "./wishes.ts";

/**
 * Generations that got no further than those before, each ended by a failure, after which a run gives up: what ended them
 * will end the next as well.
 */
const MOST_FRUITLESS = 3;

/** What ends a run on any cluster like this one. */
const CONFIGURATION = [DoesNotFit, PlanImpossible, MessageTooLong];

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

export class Run {
  readonly #parts: RunParts;
  status: RunStatus = "waiting";
  step = 0;
  plan: Plan | null = null;
  /** Of the plan in force, and those on which states move. */
  links: readonly PlannedLink[] = [];
  #cohort: Cohort | null = null;
  #generation = 0;
  /** Of the generation, once all have their state. */
  #strategy: Strategy | null = null;
  /** What workers keep until the next generation has begun. */
  #handover: Handover | null = null;
  readonly #wishes = new Wishes();
  #fruitless = 0;
  /** Committed once, even if the run has gone back since. */
  #furthest: number;
  #stepBegan = 0;
  readonly #saves: Saves;
  readonly #betweenSteps: BetweenSteps;
  readonly watchdog = new Watchdog({
    owing: () => [...(this.#cohort?.owing ?? []), ...this.#saves.owing],
    members: () => this.#cohort?.ports ?? [],
    onDeadlock: (reason) => this.#cohort?.fail(new WorkerLost(reason)),
  });
  readonly tally = new Tally();

  constructor(parts: RunParts) {
    this.#parts = parts;
    if (parts.start?.run === parts.id) this.step = parts.start.step;
    this.#furthest = this.step;
    this.#saves = new Saves({ ...parts, onStored: () => (this.#fruitless = 0) });
    this.#betweenSteps = new BetweenSteps({ ...parts, saves: this.#saves, tally: this.tally });
  }

  get id(): string {
    return this.#parts.id;
  }

  /** The latest. */
  get checkpoint(): Checkpoint | null {
    return this.#saves.latest;
  }

  get config(): RunConfig {
    return this.#parts.config;
  }

  get generation(): number {
    return this.#generation;
  }

  /** Runs to the end: done, stopped or failed. Never rejects; what went wrong is an event. */
  async drive(): Promise<void> {
    this.watchdog.start();
    try {
      // What workers keep is in no checkpoint yet: it is loaded once more, to be saved.
      while (this.#handover || (this.step < this.config.steps && !this.stopping)) {
        try {
          await this.#runGeneration();
        } catch (error) {
          if (!(error instanceof WorkerLost || error instanceof DoesNotFit)) throw error;
          const isFailure = error instanceof WorkerLost && !(error instanceof WorkerGone);
          if (isFailure && ++this.#fruitless === MOST_FRUITLESS) {
            throw new RunImpossible(
              `${MOST_FRUITLESS} generations in a row got no further; the last: ${error.message}`,
            );
          }
          await this.#recover(error);
        }
      }
      await this.#saves.settled();
      if (this.stopping) {
        this.#setStatus("stopped");
        this.#parts.emit({ event: "stopped", step: this.step });
      } else {
        this.#setStatus("done");
        const { id, step, checkpoint } = this;
        const { figures } = this.tally;
        this.#parts.emit({
          event: "done",
          run: id,
          steps: step,
          ...figures,
          checkpoint: checkpoint?.id ?? null,
        });
      }
    } catch (error) {
      this.#drop("the run failed");
      await this.#saves.settled();
      this.#setStatus("failed");
      this.#parts.emit({
        event: "failed",
        message: error instanceof Error ? error.message : String(error),
        cause: CONFIGURATION.some((kind) => error instanceof kind) ? "configuration" : "failure",
      });
    } finally {
      this.watchdog.stop();
      this.#cohort = null;
      this.plan = null;
      this.links = [];
    }
  }

  get stopping(): boolean {
    return this.#wishes.stops;
  }

  stop(): void {
    this.#wishes.stop();
    this.setPaused(false);
  }

  /** When another plan is worth it by now: a new generation, after the step in progress. */
  reconsider(occasion: Occasion): void {
    if (!this.plan || this.#wishes.ends) return;
    const circumstances = { occasion, stepsLeft: this.config.steps - this.step };
    if (this.#parts.planning.wantsAnother(this.plan, this.#parts.crew, circumstances)) this.#wishes.replan();
  }

  setPaused(paused: boolean): void {
    if (this.#wishes.pause(paused)) this.#parts.emit({ event: "paused", paused });
  }

  takesPart(worker: string): boolean {
    return this.#cohort?.needs(worker) ?? false;
  }

  deliver(worker: string, message: Extract<ClientMessage, { generation: number }>): void {
    // A page says "failed" as well, whatever its training worker does.
    if (message.type !== "failed") this.watchdog.answered(worker);
    if (message.type === "saved" || message.type === "unsaved") return this.#saves.deliver(worker, message);
    if (this.takesPart(worker)) this.tally.take(worker, message);
    this.#cohort?.deliver(worker, message);
  }

  lose(worker: string, reason: string): void {
    this.#handover?.lose(worker);
    this.#saves.lose(worker, reason);
    if (!this.takesPart(worker) || this.#cohort!.letGo(worker)) return;
    this.tally.workersLost++;
    this.#cohort!.lose(worker, new WorkerGone(`worker ${worker} ${reason}`));
  }

  async #runGeneration(): Promise<void> {
    this.#setStatus("waiting");
    const crew = await this.#parts.someCrew();
    if (this.stopping && (!this.#handover || crew.ports.size === 0)) return this.#drop("run stop");
    this.#wishes.planned();
    const planned = this.#parts.planning.plan(crew);
    const { plan } = planned;
    const handover = this.#handover;
    const moves = handover?.movesTo(plan) ?? null;
    if (handover && !moves) {
      throw new WorkerGone("a worker left that alone kept a part of the model's state");
    }
    // Who took part before and does not now stays until its state is not needed any more.
    const before = handover ? this.#cohort! : null;
    const lenders = before?.workers.filter((worker) => !positionOf(plan, worker)) ?? [];
    const members = plan.replicas.flatMap(({ stages }) => stages.map(({ worker }) => worker));
    const cohort = new Cohort(++this.#generation, [
      ...members.map((worker) => crew.ports.get(worker)!),
      ...lenders.map((worker) => before!.port(worker)),
    ]);
    this.#cohort = cohort;
    this.#strategy = null;
    const progress = handover?.progressOf(plan) ?? null;
    this.plan = plan;
    this.links = [...linksOf(plan), ...(moves?.links ?? [])];
    this.#parts.emit({
      event: "plan",
      generation: this.#generation,
      lines: describePlanned(planned),
      speeds: Object.fromEntries(crew.measured.workers),
    });
    this.#setStatus("preparing");
    const beginning = this.#beginning(plan, moves);
    await cohort.ask((worker) => firstOrder(beginning, worker), "prepared");
    const strategy = this.#strategyOf(cohort, plan, progress);
    this.#strategy = strategy;
    this.#handover = null;
    if (lenders.length > 0) {
      const release = {
        type: "release",
        generation: this.#generation,
        reason: "its state has moved",
      } as const;
      await cohort.ask(release, "released", lenders);
    }
    this.#setStatus("training");
    if (!this.#betweenSteps.isDone && !strategy.isEven) {
      // The calendar's duties of the step come first, as they do when nothing is lost: a checkpoint counts on them.
      await strategy.advance(this.step, this.step, () => false);
    }
    await this.#betweenSteps.finish(this.step, cohort, plan, strategy);
    while (this.step < this.config.steps && !(this.#wishes.ends && strategy.isEven)) {
      await this.#train(cohort, plan, strategy);
      if (this.#wishes.pauses && !this.#wishes.ends) await this.#holdWhilePaused(cohort);
    }
    if (this.#wishes.replans && this.step < this.config.steps) {
      await this.#hold(cohort, plan, strategy);
      return;
    }
    await this.#saves.complete(this.step, cohort, strategy);
    const reason = this.stopping ? "run stop" : "run done";
    await cohort.ask({ type: "release", generation: this.#generation, reason }, "released");
  }

  #beginning(plan: Plan, moves: Moves | null): Beginning {
    const { id: run, number: runNumber, config, corpus } = this.#parts;
    const { step, checkpoint } = this;
    const { source: tokens } = corpus;
    return { generation: this.#generation, run, runNumber, config, plan, tokens, step, moves, checkpoint };
  }

  /** `progress`: what its sites go on from, if not from a checkpoint. */
  #strategyOf(cohort: Cohort, plan: Plan, progress: RoundsProgress | null): Strategy {
    const { config, step, checkpoint } = this;
    const { strategy } = config;
    const parts = { config, plan, cohort, onStep: (step: CommittedStep) => this.#onStep(plan, step) };
    if (strategy.kind === "sync") return syncStrategy(parts);
    const sites = leadReplicas(plan).map(({ site }) => site);
    return new RoundsStrategy({
      ...parts,
      strategy,
      progress: progress ?? evenProgress(strategy, sites, step, checkpoint?.tokens ?? {}),
      onLeftOut: (steps, replicas) => {
        this.tally.stepsLeftOut += steps;
        this.tally.activationBytesNeeded -= steps * stepActivationBytes(config, replicas);
      },
      onDeviation: (step, { part, to }) => this.#parts.emit({ event: "repaired", step, part, worker: to }),
    });
  }

  #onStep(plan: Plan, step: CommittedStep): void {
    const now = performance.now();
    this.step = step.step;
    if (this.step > this.#furthest) this.#fruitless = 0;
    this.#furthest = Math.max(this.#furthest, this.step);
    this.tally.loss = step.loss;
    this.tally.activationBytesNeeded += stepActivationBytes(this.config, plan.replicas);
    const seconds = (now - this.#stepBegan) / 1000;
    this.#stepBegan = now;
    // Beside the next step, not before it: no worker waits for the log or the planner.
    setImmediate(() => {
      this.#parts.emit({ event: "step", ...step, seconds });
      this.reconsider("speeds");
    });
  }

  /** Trains to the next step after which something is due, or to where it is interrupted. */
  async #train(cohort: Cohort, plan: Plan, strategy: Strategy): Promise<void> {
    const from = this.step;
    const until = nextDue(this.config, from);
    this.#stepBegan = performance.now();
    await strategy.advance(from, until, () => this.#wishes.ends || this.#wishes.pauses);
    if (this.step === from) return;
    this.#betweenSteps.follow(this.step);
    await this.#betweenSteps.finish(this.step, cohort, plan, strategy);
  }

  /** The generation ends, and its workers keep their states for the next. */
  async #hold(cohort: Cohort, plan: Plan, strategy: Strategy): Promise<void> {
    const handover = new Handover(this.config, plan, cohort.generation, strategy);
    await handover.keepAll(cohort);
    this.#handover = handover;
    this.#strategy = null;
  }

  /**
   * After a loss: on from what workers keep, without doing a committed step again; or else back to the latest
   * checkpoint, whose steps are committed, and those after it are done again.
   * @throws the error, when no plan gives less to those whose GPUs are too small
   */
  async #recover(error: WorkerLost | DoesNotFit): Promise<void> {
    const reason = errorText(error);
    const inStep = this.#strategy ? 1 : 0;
    const isKept = await this.#salvage();
    if (error instanceof DoesNotFit && !(await this.#fitsOtherwise(reason))) throw error;
    if (!isKept) {
      this.#drop(reason);
      this.#betweenSteps.forget();
      // One on its way is worth waiting for: whatever comes of it, none is later than where the run goes on.
      await this.#saves.settled();
    }
    const step = isKept ? this.step : (this.#saves.step ?? 0);
    this.tally.stepsRetried += this.step - step + inStep;
    this.step = step;
    const words = [reason, ...(isKept ? this.#handover!.losses : [])].join("; ");
    this.#parts.emit({ event: "recovered", step, generation: this.#generation + 1, reason: words });
  }

  /** Whether there is another plan, for all whose GPUs are too small: each says so before its last word, if it has to. */
  async #fitsOtherwise(reason: string): Promise<boolean> {
    const cohort = this.#cohort!;
    if (!this.#handover) {
      await cohort.gather({ type: "release", generation: this.#generation, reason }, "released");
    }
    return this.#parts.planning.learnThatTooMuch(this.plan!, cohort.unfit, this.#parts.crew());
  }

  /**
   * Has workers keep the states that they have after the last committed step; those of a generation that has not begun
   * still keep what they did. Whether that is all that the run needs. What could not be moved twice is given up.
   */
  async #salvage(): Promise<boolean> {
    const cohort = this.#cohort;
    const strategy = this.#strategy;
    if (!strategy && this.#fruitless > 1) return false;
    if (strategy && outlivesLosses(this.config)) {
      this.#handover = new Handover(this.config, this.plan!, this.#generation, strategy);
    }
    if (!cohort || !this.#handover) return false;
    const isWhole = await this.#handover.salvage(cohort);
    this.#strategy = null;
    return isWhole;
  }

  /** All drop what they have of the run. */
  #drop(reason: string): void {
    this.#handover = null;
    this.#strategy = null;
    this.#cohort?.tell({ type: "release", generation: this.#generation, reason });
  }

  async #holdWhilePaused(cohort: Cohort): Promise<void> {
    await cohort.within(this.#saves.settled());
    this.#setStatus("paused");
    await this.#wishes.resumed();
    this.#setStatus("training");
  }

  #setStatus(status: RunStatus): void {
    this.status = status;
    this.#parts.changed();
  }
}
