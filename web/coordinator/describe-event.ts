// An event of a run as a sentence.
import type { RunEvent } from "../../core/protocol/events.ts";
import { formatCount } from "../ui/format.ts";

/** Null for steps: the chart shows them. */
export function describeEvent(event: RunEvent): string | null {
  switch (event.event) {
    case "step":
      return null;
    case "started":
      return `Run ${event.run} started: ${formatCount(event.parameters)} parameters`;
    case "plan":
      return `Plan ${event.generation}: ${event.lines.join("; ")}`;
    case "worker":
      return `Worker ${event.worker} ${event.state}`;
    case "valid":
      return `Step ${event.step}: validation loss ${event.loss.toFixed(4)}`;
    case "sample":
      return `Step ${event.step}: a new sample`;
    case "checkpoint":
      return `Checkpoint ${event.checkpoint}`;
    case "recovered":
      return `${event.reason}; going on after step ${event.step}`;
    case "paused":
      return event.paused ? "Paused" : "Resumed";
    case "failed":
      return `Failed: ${event.message}`;
    case "stopped":
      return `Stopped after step ${event.step}`;
    case "done":
      return `Done: ${event.steps} steps, loss ${event.loss?.toFixed(4) ?? "–"}, validation loss ${event.validLoss?.toFixed(4) ?? "–"}`;
  }
}
