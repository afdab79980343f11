// The run on show: how it goes, and what can be done with it.
import { ByteTable } from "../ui/byte-table.tsx";
import { Figures } from "../ui/figures.tsx";
import { formatCount, formatDuration } from "../../core/format.ts";
import { Notice } from "../ui/notice.tsx";
import { StateLabel } from "../ui/state-label.tsx";
import type { RunView } from "../../core/protocol/events.ts";
import { Actions, type Action } from "./actions.tsx";
import { callApi, download } from "./api.ts";
import { describeRunState, isEnded } from "./describe-state.ts";
import { LossChart } from "./loss-chart.tsx";
import { speedOf } from "./run-log.ts";
import { events, results } from "./state.ts";

const FILES = ["model.safetensors", "config.json", "tokenizer.json"];

export function RunPanel({ run }: { readonly run: RunView }) {
  const { step, config, status } = run;
  const { steps, samples } = results.value;
  const sample = samples.at(-1);
  const failure = events.value.findLast((event) => event.event === "failed");
  return (
    <section class="panel">
      <div class="row apart">
        <h2>Run {run.id}</h2>
        <div role="status">
          <StateLabel {...describeRunState(status)} />
        </div>
      </div>
      {status === "failed" && failure && <Notice title="The run failed" advice={failure.message} />}
      <progress max={config.steps} value={step} aria-label={`step ${step} of ${config.steps}`} />
      <Figures figures={figuresOf(run)} />
      {!isEnded(status) && <Actions actions={wishesOf(run)} />}
      {steps.length > 0 && <LossChart key={run.id} />}
      {sample && (
        <div class="group">
          <h3>Sample after step {sample.step}</h3>
          <pre>{sample.text}</pre>
        </div>
      )}
      <div class="group">
        <h3>Sent over data channels</h3>
        <ByteTable site={run.siteBytesBy} wide={run.wideBytesBy} />
      </div>
      {run.checkpoint && (
        <div class="group">
          <h3>Files of checkpoint {run.checkpoint}</h3>
          <Actions actions={FILES.map((name) => [name, () => download(run.id, name)])} />
        </div>
      )}
    </section>
  );
}

function wishesOf({ id, status }: RunView): Action[] {
  const wish = (name: "pause" | "resume" | "stop") => () => callApi("POST", `/api/runs/${id}/${name}`);
  return [
    status === "paused" ? ["Resume", wish("resume")] : ["Pause", wish("pause")],
    ["Stop and save", wish("stop")],
  ];
}

function figuresOf({ step, config, status, computing, overlapped }: RunView): [string, string][] {
  const { steps, validations } = results.value;
  const last = steps.at(-1);
  const speed = speedOf(steps);
  const figures: [string, string][] = [
    ["Step", `${formatCount(step)} of ${formatCount(config.steps)}`],
    ["Loss", last?.loss.toFixed(4) ?? "–"],
    ["Validation loss", validations.at(-1)?.loss.toFixed(4) ?? "–"],
    ["Gradient norm", last?.gradNorm.toFixed(3) ?? "–"],
    ["Tokens/s", speed ? formatCount(speed.tokensPerSecond) : "–"],
    ["Time at work", percent(computing)],
    ["Exchanges hidden", percent(overlapped)],
  ];
  if (!isEnded(status)) {
    figures.push(["Time left", speed ? formatDuration((config.steps - step) * speed.secondsPerStep) : "–"]);
  }
  return figures;
}

const percent = (share: number | null) => (share === null ? "–" : `${(100 * share).toFixed(0)} %`);
