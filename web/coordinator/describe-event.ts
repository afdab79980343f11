// An event of a run as a sentence.
import type { RunEvent } from "../../core/protocol/events.ts";
import { formatBytes, formatCount } from "../../core/format.ts";

export interface EventWords {
  readonly words: string;
  /** Lines that belong to it. */
  readonly details: readonly string[];
  readonly wrong: boolean;
}

/** Null for steps: the chart shows them. */
export function describeEvent(event: RunEvent): EventWords | null {
  const say = (words: string, details: readonly string[] = [], wrong = false): EventWords => ({
    words,
    details,
    wrong,
  });
  switch (event.event) {
    case "step":
      return null;
    case "started":
      return say(`Run ${event.run} started with ${formatCount(event.parameters)} parameters.`);
    case "plan":
      return say(`Plan ${event.generation} is in force.`, event.lines);
    case "worker":
      return say(`Worker ${event.worker} ${event.state}.`);
    case "valid":
      return say(`Validation loss ${event.loss.toFixed(4)} after step ${event.step}.`);
    case "sample":
      return say(`A sample was written after step ${event.step}.`);
    case "checkpoint":
      return say(
        `Checkpoint ${event.checkpoint} of step ${event.step} is saved${event.without ? `, without ${event.without.join("; ")}` : ""}.`,
      );
    case "unsaved":
      return say(`No checkpoint of step ${event.step}: ${event.reason}.`, [], true);
    case "recovered":
      return say(`Goes on after step ${event.step}: ${event.reason}.`, [], true);
    case "repaired":
      return say(
        `After step ${event.step}, ${event.part} of worker ${event.worker} was not what the other sites hold, and was replaced.`,
        [],
        true,
      );
    case "paused":
      return say(event.paused ? "The run was paused." : "The run was resumed.");
    case "failed":
      return say(`The run failed: ${event.message}`, [], true);
    case "stopped":
      return say(`The run was stopped after step ${event.step}.`);
    case "done":
      return say(`The run is done: ${formatCount(event.steps)} steps.`, [
        `loss ${formatLoss(event.loss)}, validation loss ${formatLoss(event.validLoss)}`,
        `site links ${formatBytes(event.siteBytes)}, wide links ${formatBytes(event.wideBytes)}`,
        `steps done again ${event.stepsRetried}, left out ${event.stepsLeftOut}, workers lost ${event.workersLost}`,
      ]);
  }
}

function formatLoss(loss: number | null): string {
  return loss?.toFixed(4) ?? "–";
}
