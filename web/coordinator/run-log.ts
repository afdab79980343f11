// The events of the run on show, and what the page reads from them.
import type { RunEvent, StepEvent } from "../../core/protocol/events.ts";

type EventOf<K extends RunEvent["event"]> = Extract<RunEvent, { event: K }>;

/** As many as the server's history holds. */
export const EVENTS_KEPT = 5000;

/** The events with a new one: "started" begins the log of another run. */
export function appendEvent(events: readonly RunEvent[], event: RunEvent): readonly RunEvent[] {
  return event.event === "started" ? [event] : [...events.slice(1 - EVENTS_KEPT), event];
}

export interface Results {
  readonly steps: readonly StepEvent[];
  readonly validations: readonly EventOf<"valid">[];
  readonly samples: readonly EventOf<"sample">[];
}

/** What stands of the run, by step: a recovery undoes what came after the step it goes back to. */
export function resultsOf(events: readonly RunEvent[]): Results {
  let steps: StepEvent[] = [];
  let validations: EventOf<"valid">[] = [];
  let samples: EventOf<"sample">[] = [];
  for (const event of events) {
    if (event.event === "step") steps.push(event);
    else if (event.event === "valid") validations.push(event);
    else if (event.event === "sample") samples.push(event);
    else if (event.event === "recovered") {
      const stands = ({ step }: { readonly step: number }) => step <= event.step;
      steps = steps.filter(stands);
      validations = validations.filter(stands);
      samples = samples.filter(stands);
    }
  }
  return { steps, validations, samples };
}

/** Tokens a second and seconds a step, means over the newest steps; null before the first. */
export function speedOf(
  steps: readonly StepEvent[],
  newest = 10,
): { readonly tokensPerSecond: number; readonly secondsPerStep: number } | null {
  const recent = steps.slice(-newest);
  const seconds = recent.reduce((sum, step) => sum + step.seconds, 0);
  if (seconds === 0) return null;
  const tokens = recent.reduce((sum, step) => sum + step.tokens, 0);
  return { tokensPerSecond: tokens / seconds, secondsPerStep: seconds / recent.length };
}
