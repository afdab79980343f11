// The life of a simulated run, as in server/run.ts: a generation of the workers there are, from step to step and from
// checkpoint to checkpoint; another one when a worker is lost or newcomers are worth it, from the states that workers
// keep or else from the latest checkpoint.
// Not here: who is there (churn.ts), how sites go through steps (course.ts), what came of it (simulate.ts).
import type { RunConfig } from "../model/config.ts";
import { nextDue } from "../plan/due.ts";
import { loadOf } from "../plan/cost.ts";
import { KeptStates } from "../plan/kept-states.ts";
import { moveTraffic } from "../plan/move-traffic.ts";
import { outlivesLosses, type Moves } from "../plan/moves.ts";
import type { SiteWorkers } from "../plan/partition.ts";
import { leadReplicas, type Plan } from "../plan/plan.ts";
import { evenProgress, goingOn, type Progress } from "../plan/progress.ts";
import { saversOf, shardsNeeded, shardSizes, type ShardSize } from "../plan/states.ts";
import { addTo } from "../sums.ts";
import type { Clock } from "./clock.ts";
import type { Course } from "./course.ts";
import { Watch, type Ledger } from "./ledger.ts";
import type { SimulatedPlanning } from "./planning.ts";
import { RoundsCourse } from "./rounds-course.ts";
import type { SiteSteps } from "./site-steps.ts";
import type { StateTransfers } from "./state-transfers.ts";
import { SyncCourse } from "./sync-course.ts";

export interface RunParts {
  readonly config: RunConfig;
  readonly clock: Clock;
  readonly ledger: Ledger;
  readonly planning: SimulatedPlanning;
  readonly siteSteps: SiteSteps;
  readonly transfers: StateTransfers;
  readonly siteOf: (worker: string) => string;
  /** Workers that are there. */
  readonly sites: () => SiteWorkers;
}

interface Checkpoint {
  readonly step: number;
  readonly shards: readonly ShardSize[];
  /** Those that workers have fetched. */
  readonly kept: Map<string, Set<ShardSize>>;
}

interface Save {
  readonly checkpoint: Checkpoint;
  readonly savers: ReadonlySet<string>;
}

export class SimulatedRun {
  readonly #parts: RunParts;
  readonly #exchanged: readonly number[];
  readonly #watch: Watch;
  #generation = 0;
  #plan: Plan | null = null;
  /** Those of the plan; and until all of them are prepared, those who keep the state that they go on from. */
  #needed: ReadonlySet<string> = new Set();
  /** Once all are prepared. */
  #course: Course | null = null;
  #handover: KeptStates | null = null;
  /** Of the generation that states are kept of. */
  #progress: Progress<number> | null = null;
  #checkpoint: Checkpoint | null = null;
  /** Of a checkpoint on its way; and what waits for its end. */
  #save: Save | null = null;
  #afterSave: (() => void) | null = null;
  #wantsAnother = false;
  #isThinkingLater = false;
  step = 0;
  stepsRedone = 0;
  stepsLeftOut = 0;
  lost = 0;
  checkpoints = 0;
  /** Bytes that sites sent each other in exchanges. */
  readonly wideBytes = new Map<string, number>();

  constructor(parts: RunParts) {
    this.#parts = parts;
    this.#exchanged = loadOf(parts.config).exchanged;
    this.#watch = new Watch(parts.clock, parts.ledger, 1);
  }

  start(): void {
    this.#form();
  }

  /** A worker has come. */
  welcome(): void {
    if (this.#plan) this.#reconsider();
    else this.#form();
  }

  /** A worker has gone. */
  lose(worker: string): void {
    this.#handover?.lose(worker);
    const isNeeded = this.#needed.has(worker);
    const isKept = isNeeded && this.#isKept(worker);
    if (isNeeded) {
      this.lost++;
      if (isKept) this.#course?.giveUp();
      this.#endGeneration();
    }
    const { siteOf } = this.#parts;
    if (this.#save?.savers.has(worker)) this.#doWithout(this.#save, siteOf(worker));
    if (!isNeeded) return;
    if (isKept) this.#form();
    else this.#goBack();
  }

  /** What it has under way, and what waits, is for nothing. */
  #endGeneration(): void {
    this.#generation++;
    this.#course?.end();
    this.#needed = new Set();
    this.#afterSave = null;
  }

  /** Whether the others keep all that the run goes on from. */
  #isKept(lost: string): boolean {
    if (this.#course) {
      if (!outlivesLosses(this.#parts.config)) return false;
      this.#handOver(this.#course);
      this.#handover!.lose(lost);
    }
    return this.#handover?.isWhole ?? false;
  }

  /** All keep their states, as the course has brought them there. */
  #handOver({ progress }: Course): void {
    this.#handover = new KeptStates(this.#parts.config, this.#plan!);
    this.#progress = progress ?? null;
  }

  /** To the latest checkpoint; one on its way is waited for first. */
  #goBack(): void {
    this.#handover = null;
    this.#course = null;
    this.#whenSaved(() => {
      this.#parts.ledger.lose();
      const step = this.#checkpoint?.step ?? 0;
      this.stepsRedone += this.step - step;
      this.step = step;
      this.#form();
    });
  }

  end(): void {
    this.#course?.end();
    this.#watch.turnTo(null);
  }

  get isDone(): boolean {
    return this.step === this.#parts.config.steps;
  }

  /** At `time`, unless another generation has begun by then. */
  #at(time: number, action: () => void): void {
    const generation = this.#generation;
    this.#parts.clock.at(time, () => {
      if (generation === this.#generation) action();
    });
  }

  #form(): void {
    const { clock, planning, sites, transfers } = this.#parts;
    this.#endGeneration();
    transfers.dropMoves();
    this.#course = null;
    this.#wantsAnother = false;
    this.#watch.turnTo("waiting");
    const plan = planning.plan(clock.now, sites(), this.#plan);
    this.#plan = plan;
    if (!plan) return;
    const moves = this.#handover?.movesTo(plan) ?? null;
    if (this.#handover && !moves) return this.#goBack();
    this.#needed = new Set([...workersOf(plan), ...(this.#handover?.keepers ?? [])]);
    const kept = moves && this.#progress;
    const names = leadReplicas(plan).map(({ site }) => site);
    const progress = kept && goingOn(kept, names, this.#handover!.sourceOf);
    this.#watch.turnTo("moving");
    this.#at(this.#preparedAt(plan, moves), () => {
      this.#handover = null;
      this.#needed = new Set(workersOf(plan));
      this.#course = this.#courseOf(plan, progress);
      this.#train();
    });
  }

  /** Newcomers are thought of together, once a full plan may be made again. */
  #reconsider(): void {
    const { clock, planning, sites } = this.#parts;
    if (this.#isThinkingLater || this.#wantsAnother) return;
    this.#isThinkingLater = true;
    clock.at(Math.max(clock.now, planning.restUntil), () => {
      this.#isThinkingLater = false;
      if (!this.#plan || this.#wantsAnother) return;
      if (clock.now < planning.restUntil) this.#reconsider();
      else this.#wantsAnother = planning.wantsAnother(clock.now, sites(), this.#plan);
    });
  }

  /** `progress`: what its sites go on from, if not from a checkpoint. */
  #courseOf(plan: Plan, progress: Progress<number> | null): Course {
    const { config, clock, ledger, transfers, siteSteps } = this.#parts;
    const sites = siteSteps.of(plan);
    const parts = {
      config,
      clock,
      ledger,
      lines: transfers,
      sites,
      exchanged: this.#exchanged,
      onStep: (step: number, tokens: number) => {
        this.step = step;
        ledger.train(tokens);
      },
      onLeftOut: (steps: number) => (this.stepsLeftOut += steps),
      onExchange: (bytes: readonly number[]) =>
        sites.forEach(({ site }, i) => addTo(this.wideBytes, site, bytes[i]!)),
      interrupted: () => this.#wantsAnother,
    };
    const { strategy } = config;
    if (strategy.kind === "sync") return new SyncCourse(parts);
    const names = sites.map(({ site }) => site);
    return new RoundsCourse(parts, strategy, progress ?? evenProgress(strategy, names, this.step));
  }

  /** To the next step after which something is due, or to where another plan is wanted. */
  #train(): void {
    const { config } = this.#parts;
    this.#watch.turnTo(null);
    this.#course!.advance(this.step, nextDue(config, this.step), () => {
      if (this.step % config.checkpointEvery === 0 && !this.#save) this.#beginSave();
      this.#goOn();
    });
  }

  /** Beside the training. */
  #beginSave(): void {
    const { config, ledger, transfers } = this.#parts;
    const { step } = this;
    if (this.#checkpoint?.step === step) return;
    const shards = shardSizes(config, this.#plan!);
    const bySite = new Map<string, number>();
    for (const { site, bytes } of shards) addTo(bySite, site, bytes);
    ledger.draft();
    transfers.upload(bySite);
    const savers = new Set(saversOf(config, this.#plan!));
    const save = { checkpoint: { step, shards, kept: new Map() }, savers };
    this.#save = save;
    this.#awaitUpload(save);
  }

  /** What else goes over the lines may make it later than it was to be. */
  #awaitUpload(save: Save): void {
    const { clock, transfers, ledger } = this.#parts;
    clock.at(transfers.uploadedAt, () => {
      if (this.#save !== save) return;
      if (transfers.uploadedAt > clock.now) return this.#awaitUpload(save);
      this.#checkpoint = save.checkpoint;
      this.checkpoints++;
      ledger.keep();
      this.#endSave();
    });
  }

  /** A worker of the site has gone: the checkpoint goes on with what other sites save, if it had not all of this one. */
  #doWithout(save: Save, site: string): void {
    const { transfers } = this.#parts;
    if (!transfers.isUploading(site)) return;
    transfers.dropUpload(site);
    const shards = save.checkpoint.shards.filter((shard) => shard.site !== site);
    if (shards.length === 0) return this.#endSave();
    this.#save = { ...save, checkpoint: { ...save.checkpoint, shards } };
    this.#awaitUpload(this.#save);
  }

  #endSave(): void {
    const then = this.#afterSave;
    this.#save = null;
    this.#afterSave = null;
    this.#parts.transfers.dropUploads();
    then?.();
  }

  /** Once no checkpoint is on its way. */
  #whenSaved(then: () => void): void {
    this.#watch.turnTo("saving");
    const go = () => {
      this.#watch.turnTo(null);
      then();
    };
    if (this.#save) this.#afterSave = go;
    else go();
  }

  #goOn(): void {
    if (this.isDone) this.#finish();
    else if (this.#wantsAnother) this.#course!.settle(() => this.#moveOn());
    else this.#train();
  }

  /** The run ends with a checkpoint of its last step. */
  #finish(): void {
    this.#whenSaved(() => {
      if (this.#checkpoint?.step === this.step) return this.#parts.clock.stop();
      this.#beginSave();
      this.#finish();
    });
  }

  /** To another plan, from the states that workers keep. */
  #moveOn(): void {
    this.#handOver(this.#course!);
    this.#form();
  }

  /** When all of the plan's workers have what they go on from: from each other, or from the latest checkpoint. */
  #preparedAt(plan: Plan, moves: Moves | null): number {
    const { config, transfers, siteOf } = this.#parts;
    if (moves) return transfers.amongWorkers(moveTraffic(moves, siteOf));
    const bySite = new Map<string, number>();
    if (this.#checkpoint) {
      const { shards, kept } = this.#checkpoint;
      for (const replica of plan.replicas) {
        for (const { worker, shards: needed } of shardsNeeded(config, replica, shards)) {
          const own = kept.get(worker) ?? new Set();
          kept.set(worker, own);
          for (const shard of needed) {
            if (!own.has(shard)) addTo(bySite, replica.site, shard.bytes);
            own.add(shard);
          }
        }
      }
    }
    return transfers.fromServer(bySite);
  }
}

const workersOf = ({ replicas }: Plan): string[] =>
  replicas.flatMap(({ stages }) => stages.map(({ worker }) => worker));
