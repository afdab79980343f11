// Strategy `rounds`: every site takes inner steps on its own, and fragments of the model are exchanged between sites
// now and then (Streaming DiLoCo). Sites go their own way between exchanges; one that is much slower leaves steps out.
// Not here: the calendar (core/plan/rounds.ts), what workers compute (web/worker/outer-loop.ts).
import type { RoundsConfig } from "../../core/model/config.ts";
import { allowedSeconds, leavesOut } from "../../core/plan/pace.ts";
import { leadReplicas, type Replica } from "../../core/plan/plan.ts";
import { nextExchange, roundsMoment } from "../../core/plan/rounds.ts";
import { saversOf } from "../../core/plan/states.ts";
import { AnchorCheck, type Deviation } from "./anchors.ts";
import { innerStep } from "./inner-step.ts";
import type { CommittedStep, Strategy, StrategyParts } from "./strategy.ts";

/** Share of the newest step in what a site's step is expected to take. */
const NEWEST = 0.3;

interface Site {
  readonly name: string;
  readonly index: number;
  readonly replicas: readonly Replica[];
  readonly workers: readonly string[];
  /** Committed or left out; and the one it is working on. */
  step: number;
  current: number;
  /** Trained on since each fragment's last exchange. */
  readonly tokens: number[];
  /** What a step takes; 0 before the first. */
  stepSeconds: number;
  /** Step of the latest exchange, the steps done since and the seconds they took. */
  intervalStart: number;
  intervalDone: number;
  intervalSeconds: number;
}

export interface RoundsParts extends StrategyParts {
  readonly strategy: RoundsConfig;
  /** Tokens by site and fragment since the last exchange, of the checkpoint that the generation starts from. */
  readonly tokens: Readonly<Record<string, readonly number[]>>;
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
  /** What sites did of steps that not all have passed. */
  readonly #passed = new Map<number, (CommittedStep | null)[]>();
  #until = 0;

  constructor(parts: RoundsParts) {
    const { plan, strategy } = parts;
    this.#parts = parts;
    this.savers = saversOf(parts.config, plan);
    this.#sites = leadReplicas(plan).map(({ site: name }, index) => {
      const replicas = plan.replicas.filter(({ site }) => site === name);
      const none = Array.from({ length: strategy.fragments }, () => 0);
      return {
        name,
        index,
        replicas,
        workers: replicas.flatMap(({ stages }) => stages.map(({ worker }) => worker)),
        step: 0,
        current: 0,
        tokens: [...(parts.tokens[name] ?? none)],
        stepSeconds: 0,
        intervalStart: 0,
        intervalDone: 0,
        intervalSeconds: 0,
      };
    });
    this.#anchors = new AnchorCheck(this.#sites.length);
  }

  /** By site and fragment, since the last exchange: what a checkpoint has to remember. */
  get tokens(): Record<string, number[]> {
    return Object.fromEntries(this.#sites.map(({ name, tokens }) => [name, [...tokens]]));
  }

  async advance(from: number, until: number, interrupted: () => boolean): Promise<void> {
    this.#until = until;
    for (const site of this.#sites) {
      Object.assign(site, { step: from, current: from });
      beginInterval(site);
    }
    try {
      await Promise.all(this.#sites.map((site) => this.#advance(site, interrupted)));
    } catch (error) {
      // Whatever ended one site's way ends the others'.
      this.#parts.cohort.fail(error as Error);
      throw error;
    }
  }

  async #advance(site: Site, interrupted: () => boolean): Promise<void> {
    while (site.step < this.#until) {
      // All stop where the farthest is.
      if (interrupted()) this.#until = Math.max(...this.#sites.map(({ current }) => current));
      if (site.step >= this.#until) return;
      if (this.#leavesOut(site)) await this.#leaveOut(site);
      else await this.#step(site);
    }
  }

  async #step(site: Site): Promise<void> {
    const { config, cohort } = this.#parts;
    const began = performance.now();
    site.current = site.step + 1;
    const done = await innerStep(config, site.replicas, cohort, site.current);
    const seconds = (performance.now() - began) / 1000;
    site.stepSeconds += (site.stepSeconds === 0 ? 1 : NEWEST) * (seconds - site.stepSeconds);
    site.intervalDone++;
    site.intervalSeconds += seconds;
    site.tokens.forEach((tokens, fragment) => (site.tokens[fragment] = tokens + done.tokens));
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
    const passed = this.#passed.get(site.step) ?? [];
    this.#passed.set(site.step, [...passed, done]);
    if (passed.length + 1 === this.#sites.length) this.#report(site.step);
    await this.#exchange(site);
  }

  #report(step: number): void {
    const done = this.#passed.get(step)!.filter((one) => one !== null);
    this.#passed.delete(step);
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

  /** What the calendar has for the step that the site has just passed. */
  async #exchange(site: Site): Promise<void> {
    const { cohort, strategy, config } = this.#parts;
    const { step } = site;
    const { merges, exchanges, atOnce, last } = roundsMoment(strategy, step, config.steps);
    const { generation } = cohort;
    if (merges.length > 0) await this.#merge(site, merges, false);
    if (exchanges.length === 0) return;
    const weighed = exchanges.map((fragment) => ({ fragment, tokens: site.tokens[fragment]! }));
    cohort.tell({ type: "exchange", generation, step, exchanges: weighed, last }, site.workers);
    for (const fragment of exchanges) site.tokens[fragment] = 0;
    beginInterval(site);
    if (atOnce) await this.#merge(site, exchanges, last);
  }

  async #merge(site: Site, fragments: readonly number[], last: boolean): Promise<void> {
    const { cohort, onDeviation } = this.#parts;
    const { step, workers } = site;
    const { generation } = cohort;
    const order = { type: "merge" as const, generation, step, fragments: [...fragments], last };
    const answers = await cohort.ask(order, "merged", workers);
    // All at once: only the last site of a step to report finds who deviates.
    const deviations = [...answers].flatMap(([worker, { anchors }]) =>
      this.#anchors.report(site.index, step, worker, anchors),
    );
    for (const deviation of deviations) {
      const { part, from, to } = deviation;
      onDeviation(step, deviation);
      // Until it is done this site begins no exchange, so that no anchor moves meanwhile.
      await cohort.ask({ type: "repair", generation, step, part, from, to }, "repaired", [from, to]);
      const wrong = this.#sites.find(({ workers }) => workers.includes(to))!;
      // Not waited for: that site may be waiting for this one. All its workers have it between the same two orders.
      cohort.tell({ type: "renew", generation, step, part }, wrong.workers);
    }
  }

  #nextExchange(step: number): number {
    return nextExchange(this.#parts.strategy, step, this.#parts.config.steps);
  }
}

function beginInterval(site: Site): void {
  Object.assign(site, { intervalStart: site.step, intervalDone: 0, intervalSeconds: 0 });
}
