// What a run's time went into and what came of it. A step under way may be given up, and what was done since the latest
// checkpoint may be lost yet.
import type { Clock } from "./clock.ts";

/** `computing` is a step but for its exchange; `moving` the way from one plan to another; `waiting` for workers or sites. */
export const PURPOSES = ["computing", "exchanging", "saving", "moving", "waiting", "redone"] as const;
export type Purpose = (typeof PURPOSES)[number];

const HOUR = 3600;

interface Page {
  readonly seconds: Record<Purpose, number>;
  /** Trained on, by the hour in which their step was committed. */
  readonly tokens: Map<number, number>;
}

const emptyPage = (): Page => ({
  seconds: { computing: 0, exchanging: 0, saving: 0, moving: 0, waiting: 0, redone: 0 },
  tokens: new Map(),
});

export class Ledger {
  readonly #clock: Clock;
  readonly #kept = emptyPage();
  /** Of steps since the latest checkpoint: up to the one on its way, after that; and since the latest step. */
  #drafted = emptyPage();
  #since = emptyPage();
  #underWay = emptyPage();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  spend(purpose: Purpose, seconds: number): void {
    this.#underWay.seconds[purpose] += seconds;
  }

  /** A step is committed. */
  train(tokens: number): void {
    const hour = Math.floor(this.#clock.now / HOUR);
    this.#underWay.tokens.set(hour, tokens);
    this.#commit();
  }

  /** What was done so far is in a checkpoint on its way. */
  draft(): void {
    this.#commit();
    turnOver(this.#since, this.#drafted);
    this.#since = emptyPage();
  }

  /** The checkpoint is saved: what is in it cannot be lost any more. */
  keep(): void {
    turnOver(this.#drafted, this.#kept);
    this.#drafted = emptyPage();
  }

  /** The step under way is to be done again. */
  giveUp(): void {
    redo(this.#underWay);
    this.#commit();
  }

  /** Back to the latest checkpoint: the steps since are to be done again. */
  lose(): void {
    this.giveUp();
    redo(this.#since);
    redo(this.#drafted);
  }

  #commit(): void {
    turnOver(this.#underWay, this.#since);
    this.#underWay = emptyPage();
  }

  /** At the end: what was done since the latest checkpoint counts. */
  close(): Page {
    this.draft();
    this.keep();
    return this.#kept;
  }
}

function turnOver(from: Page, to: Page): void {
  for (const purpose of PURPOSES) to.seconds[purpose] += from.seconds[purpose];
  for (const [hour, tokens] of from.tokens) to.tokens.set(hour, (to.tokens.get(hour) ?? 0) + tokens);
}

/** What was spent on steps has come to nothing. */
function redo({ seconds, tokens }: Page): void {
  seconds.redone += seconds.computing + seconds.exchanging;
  seconds.computing = 0;
  seconds.exchanging = 0;
  tokens.clear();
}

/** Sees to it that all time of someone's goes into the ledger, for the purpose that it last turned to. */
export class Watch {
  readonly #clock: Clock;
  readonly #ledger: Ledger;
  readonly #weight: number;
  #purpose: Purpose | null = null;
  #since = 0;

  /** `weight`: of a second, where several spend their time side by side. */
  constructor(clock: Clock, ledger: Ledger, weight: number) {
    this.#clock = clock;
    this.#ledger = ledger;
    this.#weight = weight;
  }

  turnTo(purpose: Purpose | null): void {
    const { now } = this.#clock;
    if (this.#purpose) this.#ledger.spend(this.#purpose, this.#weight * (now - this.#since));
    this.#purpose = purpose;
    this.#since = now;
  }

  /** The first `seconds` since it turned were for another purpose. */
  split(purpose: Purpose, seconds: number): void {
    this.#ledger.spend(purpose, this.#weight * seconds);
    this.#since += seconds;
  }
}
