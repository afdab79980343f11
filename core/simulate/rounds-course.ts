// Strategy `rounds` in simulated time: each site goes its own way from exchange to exchange, as in
// server/strategy/rounds.ts, by the same calendar and the same rule for leaving steps out.
import type { RoundsConfig } from "../model/config.ts";
import { oneExchangeSeconds } from "../plan/cost.ts";
import { allowedSeconds, leavesOut } from "../plan/pace.ts";
import { nextExchange, roundsMoment, type RoundsMoment } from "../plan/rounds.ts";
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
  /** Passed; and the one it is working on. */
  step: number;
  current: number;
  rests: boolean;
  /** Since the latest exchange; and the step of the next one. */
  intervalStart: number;
  intervalDone: number;
  next: number;
  /** Not yet taken effect here, by fragment. */
  readonly underWay: Map<number, Exchange>;
}

export class RoundsCourse implements Course {
  readonly #parts: CourseParts;
  readonly #strategy: RoundsConfig;
  readonly #sites: readonly Site[];
  readonly #allowed: number;
  /** By step, until all sites have come to it. */
  readonly #exchanges = new Map<number, Exchange>();
  readonly #passed = new Map<number, { sites: number; tokens: number }>();
  #until = 0;
  #ended = false;

  constructor(parts: CourseParts, strategy: RoundsConfig) {
    this.#parts = parts;
    this.#strategy = strategy;
    this.#sites = parts.sites.map((site) => ({
      ...site,
      watch: new Watch(parts.clock, parts.ledger, 1 / parts.sites.length),
      step: 0,
      current: 0,
      rests: false,
      intervalStart: 0,
      intervalDone: 0,
      next: 0,
      underWay: new Map<number, Exchange>(),
    }));
    this.#allowed = allowedSeconds(parts.sites.map(({ seconds }) => seconds));
  }

  advance(from: number, until: number, then: () => void): void {
    this.#until = until;
    for (const site of this.#sites) {
      Object.assign(site, { step: from, current: from, rests: false });
      this.#beginInterval(site);
    }
    for (const site of this.#sites) this.#go(site, then);
  }

  settle(then: () => void): void {
    // All have come to the same exchanges.
    const [first] = this.#sites;
    const open = [...first!.underWay.values()].find(({ seconds }) => seconds === null);
    for (const { watch } of this.#sites) watch.turnTo(open ? "exchanging" : null);
    if (open) open.waiting.push(() => this.settle(then));
    else then();
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
    const passed = this.#passed.get(step) ?? { sites: 0, tokens: 0 };
    passed.sites++;
    passed.tokens += tokens;
    this.#passed.set(step, passed);
    if (passed.sites === this.#sites.length) {
      this.#passed.delete(step);
      this.#parts.onStep(step, passed.tokens);
    }
    const moment = roundsMoment(this.#strategy, step, this.#parts.config.steps);
    this.#merge(site, moment.merges, () => {
      if (moment.exchanges.length === 0) return then();
      this.#begin(site, moment);
      this.#beginInterval(site);
      if (moment.atOnce) this.#merge(site, moment.exchanges, then);
      else then();
    });
  }

  #merge(site: Site, fragments: readonly number[], then: () => void): void {
    for (const fragment of fragments) {
      const exchange = site.underWay.get(fragment);
      if (exchange?.seconds === null)
        return this.#wait(site, exchange, () => this.#merge(site, fragments, then));
    }
    for (const fragment of fragments) site.underWay.delete(fragment);
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

  #begin(site: Site, moment: RoundsMoment): void {
    const { clock } = this.#parts;
    const exchange = this.#exchanges.get(site.step) ?? { begun: new Map(), seconds: null, waiting: [] };
    this.#exchanges.set(site.step, exchange);
    for (const fragment of moment.exchanges) site.underWay.set(fragment, exchange);
    exchange.begun.set(site, clock.now);
    if (exchange.begun.size < this.#sites.length) return;
    this.#exchanges.delete(site.step);
    this.#send(exchange, moment);
  }

  /** All sites have come to the exchange: it takes what their lines take. */
  #send(exchange: Exchange, { exchanges, last }: RoundsMoment): void {
    const { clock, lines, sites, exchanged, onExchange } = this.#parts;
    const values = exchanges.reduce((sum, fragment) => sum + exchanged[fragment]!, 0);
    const names = sites.map(({ site }) => site);
    const start = clock.now;
    const end = lines.endOf(names, start, (wide) => oneExchangeSeconds(this.#strategy, wide, values, last));
    this.#at(end, () => {
      exchange.seconds = end - start;
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
