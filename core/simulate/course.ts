// What a strategy is to a simulated run: a way to take a plan's sites from one step to another.
// Not here: the ways themselves (sync-course.ts, rounds-course.ts), what comes between (run.ts).
import type { RunConfig } from "../model/config.ts";
import type { Progress } from "../plan/progress.ts";
import type { Clock } from "./clock.ts";
import type { Ledger } from "./ledger.ts";
import type { Lines } from "./lines.ts";
import type { SiteStep } from "./site-steps.ts";

export interface CourseParts {
  readonly config: RunConfig;
  readonly clock: Clock;
  readonly ledger: Ledger;
  readonly lines: Pick<Lines, "endOf">;
  /** Values of the model, or of each fragment, that an exchange is about. */
  readonly exchanged: readonly number[];
  readonly sites: readonly SiteStep[];
  /** All sites have committed the step, or left it out: so many tokens were trained on. */
  readonly onStep: (step: number, tokens: number) => void;
  /** A site does not do that many of its steps. */
  readonly onLeftOut: (steps: number) => void;
  /** An exchange has ended: bytes sent, by site in order. */
  readonly onExchange: (bytes: readonly number[]) => void;
  /** Whether to stop at the next step that all can stop at. */
  readonly interrupted: () => boolean;
}

export interface Course {
  /** From step `from` to `until`, or to an earlier one once interrupted. */
  advance(from: number, until: number, then: () => void): void;
  /** Waits until no exchange is under way. */
  settle(then: () => void): void;
  /** Nothing goes on any more. `giveUp`: what is under way came to nothing, though what sites have done stays done. */
  end(): void;
  giveUp(): void;
  /** How far each site has come, where sites go their own way. */
  readonly progress?: Progress<number>;
}
