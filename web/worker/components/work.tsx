// What this worker does in the run, and the buttons to pause and leave.
import { ByteTable } from "../../ui/byte-table.tsx";
import { formatBytes, formatCount } from "../../ui/format.ts";
import { leave, setPaused } from "../session.ts";
import { state, type Phase } from "../state.ts";

const JOINED: readonly Phase[] = ["idle", "loading", "training", "paused"];

export function Work() {
  const { phase, run, holds, stageBytes, step, steps, tokensPerSecond, bytes } = state.value;
  return (
    <section class="panel">
      <h2>Its work</h2>
      {!run && <p class="soft">No run needs this machine now. Leave the page open; work comes by itself.</p>}
      {run && (
        <>
          <progress max={steps} value={step} aria-label="steps done" />
          <dl class="figures">
            <div>
              <dt>Step</dt>
              <dd>
                {step} / {steps}
              </dd>
            </div>
            <div>
              <dt>Tokens/s, whole run</dt>
              <dd>{formatCount(tokensPerSecond)}</dd>
            </div>
            <div>
              <dt>GPU memory</dt>
              <dd>{formatBytes(stageBytes)}</dd>
            </div>
          </dl>
          <dl class="facts">
            <dt>Run</dt>
            <dd>{run}</dd>
            <dt>Holds</dt>
            <dd>{holds}</dd>
          </dl>
          <h3>Sent by this worker</h3>
          <ByteTable {...bytes} />
        </>
      )}
      {JOINED.includes(phase) && (
        <div class="actions">
          <button type="button" onClick={() => setPaused(phase !== "paused")}>
            {phase === "paused" ? "Take part again" : "Pause"}
          </button>
          <button type="button" onClick={leave}>
            Leave
          </button>
        </div>
      )}
    </section>
  );
}
