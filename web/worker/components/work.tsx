// What this worker does in the run, and the buttons to pause and leave.
import { ByteTable } from "../../ui/byte-table.tsx";
import { Figures } from "../../ui/figures.tsx";
import { formatBytes, formatCount } from "../../../core/format.ts";
import { leave, setPaused } from "../session.ts";
import { state } from "../state.ts";

export function Work() {
  const { phase, run, worker } = state.value;
  const paused = phase === "paused";
  return (
    <section class="panel">
      <h2>{run ? `Run ${run}` : "No run"}</h2>
      {run && <Share />}
      {!run && paused && <p class="soft">This machine sits out until you let it take part again.</p>}
      {!run && !paused && (
        <p class="soft">Leave this page open: when a run needs this machine, its part comes by itself.</p>
      )}
      <div class="row">
        <button type="button" disabled={!worker} onClick={() => setPaused(!paused)}>
          {paused ? "Take part again" : "Pause"}
        </button>
        <button type="button" onClick={leave}>
          Leave
        </button>
      </div>
    </section>
  );
}

function Share() {
  const { holds, stageBytes, step, steps, tokensPerSecond, bytes, relayed } = state.value;
  return (
    <>
      <progress max={steps} value={step} aria-label={`step ${step} of ${steps}`} />
      <Figures
        figures={[
          ["Step", `${formatCount(step)} of ${formatCount(steps)}`],
          ["Tokens/s, all workers", tokensPerSecond > 0 ? formatCount(tokensPerSecond) : "–"],
          ["GPU memory", stageBytes > 0 ? formatBytes(stageBytes) : "–"],
        ]}
      />
      <dl class="facts">
        <dt>Holds</dt>
        <dd>{holds}</dd>
        {relayed.length > 0 && (
          <>
            <dt>Through the server</dt>
            <dd>{relayed.join(", ")}: no direct connection came up</dd>
          </>
        )}
      </dl>
      <div class="group">
        <h3>Sent by this machine</h3>
        <ByteTable {...bytes} />
      </div>
    </>
  );
}
