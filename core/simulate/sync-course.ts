// Strategy `sync` in simulated time: the slowest site's step, then the exchange over lines as they are then.
import { oneExchangeSeconds } from "../plan/cost.ts";
import { exchangeBytes } from "../plan/traffic.ts";
import type { Course, CourseParts } from "./course.ts";
import { Watch } from "./ledger.ts";

export class SyncCourse implements Course {
  readonly #parts: CourseParts;
  readonly #watch: Watch;
  #ended = false;

  constructor(parts: CourseParts) {
    this.#parts = parts;
    this.#watch = new Watch(parts.clock, parts.ledger, 1);
  }

  advance(from: number, until: number, then: () => void): void {
    const { clock, config, lines, sites, exchanged, interrupted } = this.#parts;
    if (from === until || interrupted()) {
      this.#watch.turnTo(null);
      then();
      return;
    }
    const { strategy } = config;
    const [values] = exchanged;
    this.#watch.turnTo("computing");
    this.#at(clock.now + Math.max(...sites.map(({ seconds }) => seconds)), () => {
      this.#watch.turnTo("exchanging");
      const end = lines.endOf(
        sites.map(({ site }) => site),
        clock.now,
        (wide) => oneExchangeSeconds(strategy, wide, values!),
      );
      this.#at(end, () => {
        this.#watch.turnTo(null);
        const shares = sites.map(({ share }) => share);
        this.#parts.onExchange(exchangeBytes(strategy, values!, shares, false));
        this.#parts.onStep(
          from + 1,
          sites.reduce((sum, { tokens }) => sum + tokens, 0),
        );
        this.advance(from + 1, until, then);
      });
    });
  }

  settle(then: () => void): void {
    then();
  }

  giveUp(): void {
    this.end();
    this.#parts.ledger.giveUp();
  }

  end(): void {
    this.#ended = true;
    this.#watch.turnTo(null);
  }

  #at(time: number, action: () => void): void {
    this.#parts.clock.at(time, () => {
      if (!this.#ended) action();
    });
  }
}
