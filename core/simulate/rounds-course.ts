// Strategy `rounds` in simulated time: each site goes its own way from exchange to exchange, as in
// server/strategy/rounds.ts, by the same calendar and the same rule for leaving steps out.
import type { RoundsConfig } from "../model/config.ts";
import { oneExchangeSeconds } from "../plan/cost.ts";
import { allowedSeconds, leavesOut } from "../plan/pace.ts";
import { ended, type Progress } from "../plan/progress.ts";
import { dutiesOf, nextExchange, type Duty } from "../plan/rounds.ts";
import { exchangeBytes } from "../plan/traffic.ts";
import type { Course, CourseParts } from "./course.ts";
import { Watch } from "./ledger.ts";
import type { SiteStep } from "./site-steps.ts";

interface Exchange {
  /** When sites came to it, by site. Once all have, it is on its way. */
  readonly begun: Map<Site, number>;
  /** How long its way took; null until it has ended. */
  seconds: number | null;
  /** What waits for its end. */
  readonly waiting: ((seconds: number) => void)[];
}

interface Site extends SiteStep {
  readonly watch: Watch;
  /** Done or left out; the one it is working on, and since when; and the latest with whose duties it is done. */
  step: number;
  current: number;
  since: number;
  passed: number;
  /** See `Standing`. */
  begun: number;
  merged: number;
  rests: boolean;
  /** Since the latest exchange; and the step of the next one. */
  intervalStart: number;
  intervalDone: number;
  next: number;
  /** Not yet taken effect here, by the step at which they began. */
  readonly underWay: Map<number, Exchange>;
}

export class RoundsCourse implements Course {
  readonly #parts: CourseParts;
  readonly #strategy: RoundsConfig;
  readonly #sites: readonly Site[];
  readonly #allowed: number;
  /** By step, until all sites have come to it. */
  readonly #exchanges = new Map<number, Exchange>();
  /** All sites have passed it. Of later steps, the tokens that sites trained on. */
  #step: number;
  readonly #done: Map<number, ReadonlyMap<string, number>>;
  /** Exchanges up to the one that began at this step have ended. */
  #concluded: number;
  #until = 0;
  #ended = false;

  /** `progress`: what the sites go on from. */
  constructor(parts: CourseParts, strategy: RoundsConfig, progress: Progress<number>) {
    this.#parts = parts;
    this.#strategy = strategy;
    this.#sites = parts.sites.map((site) => ({
      ...progress.sites.get(site.site)!,
      ...site,
      watch: new Watch(parts.clock, parts.ledger, 1 / parts.sites.length),
      current: progress.sites.get(site.site)!.step,
      since: 0,
      passed: progress.step,
      rests: false,
      intervalStart: 0,
      intervalDone: 0,
      next: 0,
      underWay: new Map<number, Exchange>(),
    }));
    this.#step = progress.step;
    this.#done = new Map(progress.done);
    this.#concluded = Math.max(...this.#sites.map(({ begun }) => begun));
    this.#allowed = allowedSeconds(parts.sites.map(({ seconds }) => seconds));
  }

  get progress(): Progress<number> {
    const sites = this.#sites.map(
      (site) => [site.site, ended({ ...site, tokens: [], weighed: [] }, this.#concluded)] as const,
    );
    return { step: this.#step, sites: new Map(sites), done: this.#done };
  }

  advance(_from: number, until: number, then: () => void): void {
    this.#until = until;
    for (const site of this.#sites) {
      site.rests = false;
      this.#beginInterval(site);
    }
    for (const site of this.#sites) this.#doDuties(site, () => this.#go(site, then));
  }

  settle(then: () => void): void {
    // All have come to the same exchanges.
    const [first] = this.#sites;
    const open = [...first!.underWay.values()].find(({ seconds }) => seconds === null);
    for (const { watch } of this.#sites) watch.turnTo(open ? "exchanging" : null);
    if (open) open.waiting.push(() => this.settle(then));
    else then();
  }

  giveUp(): void {
    const { clock } = this.#parts;
    for (const { watch, step, current, since } of this.#sites) {
      if (current > step) watch.split("redone", clock.now - since);
    }
    this.end();
  }

  end(): void {
    this.#ended = true;
    for (const { watch } of this.#sites) watch.turnTo(null);
  }

  #at(time: number, action: () => void): void {
    this.#parts.clock.at(time, () => {
      if (!this.#ended) action();
    });
  }

  /** `then`: once all have arrived. */
  #go(site: Site, then: () => void): void {
    // All stop where the farthest is.
    if (this.#parts.interrupted()) this.#until = Math.max(...this.#sites.map(({ current }) => current));
    if (site.step >= this.#until) this.#rest(site, then);
    else if (this.#leavesOut(site)) this.#leaveOut(site, Math.min(this.#until, site.next), then);
    else {
      site.current = site.step + 1;
      site.since = this.#parts.clock.now;
      site.watch.turnTo("computing");
      this.#at(this.#parts.clock.now + site.seconds, () => {
        site.intervalDone++;
        this.#pass(site, site.tokens, () => this.#go(site, then));
      });
    }
  }

  #rest(site: Site, then: () => void): void {
    site.rests = true;
    site.watch.turnTo("waiting");
    if (!this.#sites.every(({ rests }) => rests)) return;
    for (const { watch } of this.#sites) watch.turnTo(null);
    then();
  }

  #leavesOut(site: Site): boolean {
    const end = Math.min(this.#until, site.next);
    const interval = {
      steps: end - site.intervalStart,
      done: site.intervalDone,
      seconds: site.intervalDone * site.seconds,
      nextStep: site.seconds,
      arrived: this.#sites.filter(({ step }) => step >= end).length,
      sites: this.#sites.length,
    };
    return leavesOut(interval, this.#allowed);
  }

  #leaveOut(site: Site, end: number, then: () => void): void {
    if (site.step >= end) {
      this.#go(site, then);
      return;
    }
    this.#parts.onLeftOut(1);
    site.current = site.step + 1;
    // By way of the clock: there may be thousands, and each would be called by the one before.
    this.#pass(site, 0, () => this.#at(this.#parts.clock.now, () => this.#leaveOut(site, end, then)));
  }

  /** The step is done, or left out: on with what the calendar has for it. */
  #pass(site: Site, tokens: number, then: () => void): void {
    const step = ++site.step;
    this.#done.set(step, new Map(this.#done.get(step)).set(site.site, tokens));
    this.#doDuties(site, then);
  }

  #doDuties(site: Site, then: () => void): void {
    const [duty] = dutiesOf(this.#strategy, site, this.#parts.config.steps);
    if (duty?.kind === "exchange") this.#begin(site, duty);
    else if (duty) return this.#merge(site, duty, () => this.#doDuties(site, then));
    else return this.#passed(site, then);
    this.#doDuties(site, then);
  }

  #passed(site: Site, then: () => void): void {
    site.passed = Math.max(site.passed, site.step);
    while (this.#sites.every(({ passed }) => passed > this.#step)) {
      const tokens = [...this.#done.get(++this.#step)!.values()];
      this.#done.delete(this.#step);
      this.#parts.onStep(
        this.#step,
        tokens.reduce((sum, count) => sum + count, 0),
      );
    }
    then();
  }

  #merge(site: Site, duty: Duty, then: () => void): void {
    const exchange = site.underWay.get(duty.at);
    if (exchange?.seconds === null) return this.#wait(site, exchange, () => this.#merge(site, duty, then));
    site.underWay.delete(duty.at);
    site.merged = duty.at;
    then();
  }

  /** The exchange holds a site as far as it would if all had come to it when this one did: else slower sites do. */
  #wait(site: Site, exchange: Exchange, then: () => void): void {
    const { clock } = this.#parts;
    const { watch } = site;
    const [since, begun] = [clock.now, exchange.begun.get(site)!];
    watch.turnTo("waiting");
    exchange.waiting.push((seconds) => {
      watch.split("exchanging", Math.max(0, begun + seconds - since));
      then();
    });
  }

  #begin(site: Site, duty: Duty): void {
    const { clock } = this.#parts;
    const { at } = duty;
    const exchange = this.#exchanges.get(at) ?? { begun: new Map(), seconds: null, waiting: [] };
    this.#exchanges.set(at, exchange);
    site.underWay.set(at, exchange);
    site.begun = at;
    exchange.begun.set(site, clock.now);
    this.#beginInterval(site);
    if (exchange.begun.size < this.#sites.length) return;
    this.#exchanges.delete(at);
    this.#send(exchange, duty);
  }

  /** All sites have come to the exchange: it takes what their lines take. */
  #send(exchange: Exchange, { at, fragments, last }: Duty): void {
    const { clock, lines, sites, exchanged, onExchange } = this.#parts;
    const values = fragments.reduce((sum, fragment) => sum + exchanged[fragment]!, 0);
    const names = sites.map(({ site }) => site);
    const start = clock.now;
    const end = lines.endOf(names, start, (wide) => oneExchangeSeconds(this.#strategy, wide, values, last));
    this.#at(end, () => {
      exchange.seconds = end - start;
      this.#concluded = at;
      const shares = sites.map(({ share }) => share);
      onExchange(exchangeBytes(this.#strategy, values, shares, last));
      for (const go of exchange.waiting) go(end - start);
    });
  }

  #beginInterval(site: Site): void {
    site.intervalStart = site.step;
    site.intervalDone = 0;
    site.next = nextExchange(this.#strategy, site.step, this.#parts.config.steps);
  }
}
