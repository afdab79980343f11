// The run on show: how it goes, and what can be done with it.
import { ByteTable } from "../ui/byte-table.tsx";
import { formatCount, formatDuration } from "../ui/format.ts";
import { callApi, download } from "./connection.ts";
import { LossChart } from "./loss-chart.tsx";
import { samples, snapshot, steps, validations } from "./state.ts";

const ENDED = ["done", "stopped", "failed"];
const FILES = ["model.safetensors", "config.json", "tokenizer.json"];
const SPEED_STEPS = 10;

export function RunPanel() {
  const { run } = snapshot.value;
  if (!run) return null;
  const last = steps.value.at(-1);
  const recent = steps.value.slice(-SPEED_STEPS);
  const seconds = recent.reduce((sum, step) => sum + step.seconds, 0);
  const tokens = recent.reduce((sum, step) => sum + step.tokens, 0);
  const left = recent.length > 0 ? ((run.config.steps - run.step) * seconds) / recent.length : 0;
  const sample = samples.value.at(-1);
  const wish = (path: string) => () => void callApi("POST", `/api/runs/${run.id}/${path}`);
  return (
    <section class="panel">
      <h2>
        Run {run.id}:{" "}
        <span class="state" aria-live="polite">
          {run.status}
        </span>
      </h2>
      <progress max={run.config.steps} value={run.step} aria-label="steps done" />
      <dl class="figures">
        <Figure name="Step" value={`${run.step} / ${run.config.steps}`} />
        <Figure name="Loss" value={last?.loss.toFixed(4) ?? "–"} />
        <Figure name="Validation loss" value={validations.value.at(-1)?.loss.toFixed(4) ?? "–"} />
        <Figure name="Tokens/s" value={seconds > 0 ? formatCount(tokens / seconds) : "–"} />
        <Figure name="Gradient norm" value={last?.gradNorm.toFixed(3) ?? "–"} />
        {!ENDED.includes(run.status) && (
          <Figure name="Time left" value={left > 0 ? formatDuration(left) : "–"} />
        )}
      </dl>
      <LossChart key={run.id} />
      {sample && (
        <>
          <h3>Sample after step {sample.step}</h3>
          <pre>{sample.text}</pre>
        </>
      )}
      <h3>Bytes on data channels</h3>
      <ByteTable site={run.siteBytesBy} wide={run.wideBytesBy} />
      <div class="actions">
        {!ENDED.includes(run.status) && (
          <>
            <button type="button" onClick={wish(run.status === "paused" ? "resume" : "pause")}>
              {run.status === "paused" ? "Resume" : "Pause"}
            </button>
            <button type="button" onClick={wish("stop")}>
              Stop and save
            </button>
          </>
        )}
        {run.checkpoint &&
          FILES.map((name) => (
            <button type="button" key={name} onClick={() => void download(run.id, name)}>
              Download {name}
            </button>
          ))}
      </div>
    </section>
  );
}

function Figure({ name, value }: { readonly name: string; readonly value: string }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{value}</dd>
    </div>
  );
}
