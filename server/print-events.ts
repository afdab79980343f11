// A run's events on the terminal: JSON lines for programs, sentences for people.
import type { DoneEvent, RunEvent, StepEvent } from "../core/protocol/events.ts";
import { EXIT } from "./errors.ts";

const SPEED_STEPS = 10;

export class EventPrinter {
  readonly #json: boolean;
  readonly #recent: StepEvent[] = [];
  #tokens = 0;
  #seconds = 0;

  constructor(json: boolean) {
    this.#json = json;
  }

  print(event: RunEvent): void {
    if (event.event === "step") {
      this.#recent.push(event);
      if (this.#recent.length > SPEED_STEPS) this.#recent.shift();
      this.#tokens += event.tokens;
      this.#seconds += event.seconds;
    }
    if (this.#json) console.log(JSON.stringify(event));
    if (event.event === "failed") console.error(`tributary: ${event.message}`);
    if (this.#json || event.event === "failed") return;
    const text = this.#describe(event);
    if (event.event === "step" && process.stdout.isTTY) process.stdout.write(`\r\x1b[K${text}`);
    else console.log(process.stdout.isTTY ? `\r\x1b[K${text}` : text);
  }

  #describe(event: Exclude<RunEvent, { event: "failed" }>): string {
    switch (event.event) {
      case "started":
        return `run ${event.run}: ${event.parameters.toLocaleString("en")} parameters${event.url ? `\nwatch it at ${event.url}` : ""}`;
      case "plan":
        return event.lines.map((line) => `  ${line}`).join("\n");
      case "worker":
        return `worker ${event.worker} ${event.state}`;
      case "step":
        return `step ${event.step}  loss ${event.loss.toFixed(4)}  gradient ${event.gradNorm.toFixed(2)}  ${this.#speed()} tokens/s`;
      case "valid":
        return `step ${event.step}  validation loss ${event.loss.toFixed(4)} over ${event.tokens.toLocaleString("en")} tokens`;
      case "sample":
        return `step ${event.step}  sample: ${JSON.stringify(event.text)}`;
      case "checkpoint":
        return `checkpoint ${event.checkpoint}${event.without ? `, without ${event.without.join("; ")}` : ""}`;
      case "unsaved":
        return `no checkpoint of step ${event.step}: ${event.reason}`;
      case "recovered":
        return `${event.reason}; going on after step ${event.step}`;
      case "repaired":
        return `step ${event.step}  ${event.part} of worker ${event.worker} was not what the other sites hold: replaced`;
      case "paused":
        return event.paused ? "paused" : "resumed";
      case "stopped":
        return `stopped after step ${event.step}`;
      case "done":
        return this.#summary(event);
    }
  }

  #speed(): string {
    const tokens = this.#recent.reduce((sum, step) => sum + step.tokens, 0);
    const seconds = this.#recent.reduce((sum, step) => sum + step.seconds, 0);
    return Math.round(tokens / seconds).toLocaleString("en");
  }

  #summary(done: DoneEvent): string {
    const rate = this.#seconds > 0 ? Math.round(this.#tokens / this.#seconds).toLocaleString("en") : "-";
    return [
      `done: run ${done.run}, ${done.steps} steps, loss ${done.loss?.toFixed(4) ?? "-"}, validation loss ${done.validLoss?.toFixed(4) ?? "-"}, ${rate} tokens/s`,
      `site links: ${bytes(done.siteBytes)} (${purposes(done.siteBytesBy)})`,
      `  activations and their gradients need ${bytes(done.activationBytesNeeded)}${overhead(done)}`,
      `wide links: ${bytes(done.wideBytes)} (${purposes(done.wideBytesBy)})`,
      ...(done.computing === null
        ? []
        : [`workers computed ${percent(done.computing)} of the time${hidden(done)}`]),
      `workers lost: ${done.workersLost}, steps done again: ${done.stepsRetried}, left out: ${done.stepsLeftOut}, checkpoint: ${done.checkpoint ?? "none"}`,
    ].join("\n");
  }
}

/** Exit code of a command that follows a run, once the event ends it; null while it goes on. */
export function exitCodeOf(event: RunEvent): number | null {
  if (event.event === "done") return EXIT.done;
  if (event.event === "failed") return event.cause === "configuration" ? EXIT.badInput : EXIT.failed;
  return event.event === "stopped" ? EXIT.failed : null;
}

/** Parameters' gradients may cross site links too, so what activations took is told apart from the whole. */
function overhead({ siteBytes, siteBytesBy, activationBytesNeeded }: DoneEvent): string {
  if (activationBytesNeeded === 0) return "";
  const more = (sent: number) => `${((sent / activationBytesNeeded - 1) * 100).toFixed(2)} % more`;
  const own = (siteBytesBy.activation ?? 0) + (siteBytesBy.gradient ?? 0);
  return `: their frames took ${more(own)}, all that site links sent is ${more(siteBytes)}`;
}

function bytes(count: number): string {
  return `${(count / 1e6).toFixed(1)} MB`;
}

function purposes(by: Record<string, number>): string {
  const parts = Object.entries(by).sort(([, a], [, b]) => b - a);
  return parts.map(([purpose, count]) => `${purpose} ${bytes(count)}`).join(", ") || "none";
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}

function hidden({ overlapped }: DoneEvent): string {
  return overlapped === null
    ? ""
    : `; exchanges between sites were hidden behind it for ${percent(overlapped)}`;
}
