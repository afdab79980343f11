// Strategy `rounds`: every site takes inner steps on its own, and fragments of the model are exchanged between sites
// now and then (Streaming DiLoCo). Sites go their own way between exchanges; one that is much slower leaves steps out.
// An exchange is committed as a step is: once all workers have its means, and all take the outer step then, or none.
// Not here: the calendar (core/plan/rounds.ts), where sites go on after a loss (core/plan/progress.ts), what workers
// compute (web/worker/outer-loop.ts).
import type { RoundsConfig } from "../../core/model/config.ts";
import { allowedSeconds, leavesOut } from "../../core/plan/pace.ts";
import { leadReplicas, type Replica } from "../../core/plan/plan.ts";
import { ended, type Progress } from "../../core/plan/progress.ts";
import { dutiesOf, nextExchange, type Duty } from "../../core/plan/rounds.ts";
import { saversOf } from "../../core/plan/states.ts";
import { AnchorCheck, type Deviation } from "./anchors.ts";
import { innerStep } from "./inner-step.ts";
import type { CommittedStep, Strategy, StrategyParts } from "./strategy.ts";

/** Share of the newest step in what a site's step is expected to take. */
const NEWEST = 0.3;

export type RoundsProgress = Progress<CommittedStep>;

interface Site {
  readonly name: string;
  readonly index: number;
  readonly replicas: readonly Replica[];
  readonly workers: readonly string[];
  /** Committed or left out; the one it is working on; and the latest with whose duties it is done. */
  step: number;
  current: number;
  passed: number;
  /** See `Standing`. What has begun, or is to take effect, counts as soon as the site has the order. */
  begun: number;
  merged: number;
  /** Trained on since each fragment's last exchange; and what the latest exchange weighs the site by. */
  tokens: readonly number[];
  weighed: readonly number[];
  /** What a step takes; 0 before the first. */
  stepSeconds: number;
  /** Step of the latest exchange, the steps done since and the seconds they took. */
  intervalStart: number;
  intervalDone: number;
  intervalSeconds: number;
}

export interface RoundsParts extends StrategyParts {
  readonly strategy: RoundsConfig;
  /** Where the plan's sites go on. */
  readonly progress: RoundsProgress;
  /** These replicas do not do that many of their steps. */
  readonly onLeftOut: (steps: number, replicas: readonly Replica[]) => void;
  /** A site held other values than the rest, and was given theirs. */
  readonly onDeviation: (step: number, deviation: Deviation) => void;
}

export class RoundsStrategy implements Strategy {
  readonly savers: readonly string[];
  readonly #parts: RoundsParts;
  readonly #sites: readonly Site[];
  readonly #anchors: AnchorCheck;
  /** Workers of a site that held other values than the rest, until they have renewed theirs: one for each repair. */
  readonly #repairs = new Set<readonly string[]>();
  /** All sites have passed it, and it was reported. */
  #step: number;
  /** What sites did of later steps. */
  readonly #done: Map<number, ReadonlyMap<string, CommittedStep>>;
  /** Exchanges up to the one that began at this step are concluded. */
  #concluded: number;
  /** Those that not all sites have come to: the answers of those that have. */
  readonly #begun = new Map<number, Promise<unknown>[]>();
  #until = 0;

  constructor(parts: RoundsParts) {
    const { plan, strategy, progress } = parts;
    this.#parts = parts;
    this.savers = saversOf(parts.config, plan);
    this.#step = progress.step;
    this.#done = new Map(progress.done);
    this.#sites = leadReplicas(plan).map(({ site: name }, index) => {
      const replicas = plan.replicas.filter(({ site }) => site === name);
      const own = progress.sites.get(name)!;
      return {
        name,
        index,
        replicas,
        workers: replicas.flatMap(({ stages }) => stages.map(({ worker }) => worker)),
        ...own,
        current: own.step,
        passed: progress.step,
        weighed: Array.from({ length: strategy.fragments }, () => 0),
        stepSeconds: 0,
        intervalStart: 0,
        intervalDone: 0,
        intervalSeconds: 0,
      };
    });
    this.#concluded = Math.max(...this.#sites.map(({ begun }) => begun));
    this.#anchors = new AnchorCheck(this.#sites.length);
  }

  /** By site and fragment, since the last exchange: what a checkpoint has to remember. */
  get tokens(): Record<string, number[]> {
    return Object.fromEntries(this.#sites.map(({ name, tokens }) => [name, [...tokens]]));
  }

  /** How far sites have come, once nothing goes on any more. */
  get progress(): RoundsProgress {
    const sites = this.#sites.map((site) => [site.name, ended(site, this.#concluded)] as const);
    return { step: this.#step, sites: new Map(sites), done: this.#done };
  }

  /** Workers that may hold the values from before a repair, or those from after it, or some of each. */
  get unsure(): readonly string[] {
    return [...this.#repairs].flat();
  }

  get isEven(): boolean {
    return this.#sites.every((site) => site.step === this.#step && this.#dutiesOf(site).length === 0);
  }

  async advance(_from: number, until: number, interrupted: () => boolean): Promise<void> {
    this.#until = until;
    this.#sites.forEach(beginInterval);
    const ways = this.#sites.map((site) => this.#advance(site, interrupted));
    try {
      await Promise.all(ways);
    } catch (error) {
      // Whatever ended one site's way ends the others'.
      this.#parts.cohort.fail(error as Error);
      await Promise.allSettled(ways);
      throw error;
    }
  }

  async #advance(site: Site, interrupted: () => boolean): Promise<void> {
    await this.#doDuties(site);
    while (site.step < this.#until) {
      // All stop where the farthest is.
      if (interrupted()) this.#until = Math.max(...this.#sites.map(({ current }) => current));
      if (site.step >= this.#until) return;
      if (this.#leavesOut(site)) await this.#leaveOut(site);
      else await this.#train(site);
    }
  }

  async #train(site: Site): Promise<void> {
    const { config, cohort } = this.#parts;
    const began = performance.now();
    site.current = site.step + 1;
    const done = await innerStep(config, site.replicas, cohort, site.current);
    const seconds = (performance.now() - began) / 1000;
    site.stepSeconds += (site.stepSeconds === 0 ? 1 : NEWEST) * (seconds - site.stepSeconds);
    site.intervalDone++;
    site.intervalSeconds += seconds;
    site.tokens = site.tokens.map((tokens) => tokens + done.tokens);
    await this.#pass(site, done);
  }

  #leavesOut(site: Site): boolean {
    const seconds = this.#sites.map(({ stepSeconds }) => stepSeconds);
    if (seconds.includes(0)) return false;
    const end = Math.min(this.#until, this.#nextExchange(site.step));
    const interval = {
      steps: end - site.intervalStart,
      done: site.intervalDone,
      seconds: site.intervalSeconds,
      nextStep: site.stepSeconds,
      arrived: this.#sites.filter(({ step }) => step >= end).length,
      sites: this.#sites.length,
    };
    return leavesOut(interval, allowedSeconds(seconds));
  }

  /** On to the next exchange. Others are there already, so that no interruption makes `#until` less than that. */
  async #leaveOut(site: Site): Promise<void> {
    const end = Math.min(this.#until, this.#nextExchange(site.step));
    this.#parts.onLeftOut(end - site.step, site.replicas);
    while (site.step < end) {
      site.current = site.step + 1;
      await this.#pass(site, null);
    }
  }

  /** The site has done its next step, or left it out. */
  async #pass(site: Site, done: CommittedStep | null): Promise<void> {
    site.step = site.current;
    if (done) this.#done.set(site.step, new Map(this.#done.get(site.step)).set(site.name, done));
    await this.#doDuties(site);
  }

  async #doDuties(site: Site): Promise<void> {
    for (const duty of this.#dutiesOf(site)) {
      if (duty.kind === "exchange") this.#begin(site, duty);
      else await this.#merge(site, duty);
    }
    site.passed = Math.max(site.passed, site.step);
    while (this.#sites.every(({ passed }) => passed > this.#step)) this.#report(++this.#step);
  }

  #report(step: number): void {
    const done = [...this.#done.get(step)!.values()];
    this.#done.delete(step);
    const tokens = done.reduce((sum, one) => sum + one.tokens, 0);
    const mean = (of: (one: CommittedStep) => number) =>
      done.reduce((sum, one) => sum + of(one) * one.tokens, 0) / tokens;
    this.#parts.onStep({
      step,
      loss: mean(({ loss }) => loss),
      gradNorm: mean(({ gradNorm }) => gradNorm),
      tokens,
    });
  }

  #begin(site: Site, { at, fragments, last }: Duty): void {
    const { cohort } = this.#parts;
    const { generation } = cohort;
    const exchanges = fragments.map((fragment) => ({ fragment, tokens: site.tokens[fragment]! }));
    const order = { type: "exchange" as const, generation, step: at, exchanges, last };
    const exchanged = cohort.ask(order, "exchanged", site.workers);
    site.begun = at;
    site.weighed = site.tokens.map((tokens, fragment) => (fragments.includes(fragment) ? tokens : 0));
    site.tokens = site.tokens.map((tokens, fragment) => tokens - site.weighed[fragment]!);
    beginInterval(site);
    const begun = [...(this.#begun.get(at) ?? []), exchanged];
    this.#begun.set(at, begun);
    // What ends the generation is met by what is asked next.
    exchanged.catch(() => {});
    if (begun.length < this.#sites.length) return;
    this.#begun.delete(at);
    Promise.all(begun).then(
      () => this.#conclude(at),
      () => {},
    );
  }

  /** All have the means. */
  #conclude(at: number): void {
    const { cohort } = this.#parts;
    if (cohort.isOver) return;
    this.#concluded = at;
    const workers = this.#sites.flatMap(({ workers }) => workers);
    cohort.tell({ type: "conclude", generation: cohort.generation, step: at }, workers);
  }

  async #merge(site: Site, { at: step, fragments, last }: Duty): Promise<void> {
    const { cohort } = this.#parts;
    const { generation } = cohort;
    const order = { type: "merge" as const, generation, step, fragments: [...fragments], last };
    const merged = cohort.ask(order, "merged", site.workers);
    // When the generation is over nobody has the order.
    if (!cohort.isOver) site.merged = step;
    const answers = await merged;
    // All at once: only the last site of a step to report finds who deviates.
    const deviations = [...answers].flatMap(([worker, { anchors }]) =>
      this.#anchors.report(site.index, step, worker, anchors),
    );
    for (const deviation of deviations) await this.#repair(step, deviation);
  }

  async #repair(step: number, deviation: Deviation): Promise<void> {
    const { cohort, onDeviation } = this.#parts;
    const { generation } = cohort;
    const { part, from, to } = deviation;
    onDeviation(step, deviation);
    const wrong = [...this.#sites.find(({ workers }) => workers.includes(to))!.workers];
    this.#repairs.add(wrong);
    // Until it is done this site begins no exchange, so that no anchor moves meanwhile.
    await cohort.ask({ type: "repair", generation, step, part, from, to }, "repaired", [from, to]);
    // Not waited for: that site may be waiting for this one. All its workers have it between the same two orders.
    cohort.ask({ type: "renew", generation, step, part }, "renewed", wrong).then(
      () => this.#repairs.delete(wrong),
      // What ends the generation is met by what is asked next.
      () => {},
    );
  }

  #dutiesOf(site: Site): Duty[] {
    return dutiesOf(this.#parts.strategy, site, this.#parts.config.steps);
  }

  #nextExchange(step: number): number {
    return nextExchange(this.#parts.strategy, step, this.#parts.config.steps);
  }
}

function beginInterval(site: Site): void {
  Object.assign(site, { intervalStart: site.step, intervalDone: 0, intervalSeconds: 0 });
}
