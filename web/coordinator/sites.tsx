// Sites and their workers.
import type { WorkerView } from "../../core/protocol/events.ts";
import { formatBytes, formatFlops, formatSeconds } from "../../core/format.ts";
import { StateLabel } from "../ui/state-label.tsx";
import { describeWorkerState } from "./describe-state.ts";
import { JoinLink } from "./join-link.tsx";
import { snapshot } from "./state.ts";
import "./sites.css";

export function Sites() {
  const { workers } = snapshot.value;
  const sites = [...new Set(workers.map(({ site }) => site))].sort();
  return (
    <section class="panel">
      <h2>Sites</h2>
      {sites.length === 0 && (
        <p class="soft">No worker yet. Open a join link in a browser on each machine with a GPU.</p>
      )}
      {sites.map((name) => (
        <Site key={name} name={name} workers={workers.filter(({ site }) => site === name)} />
      ))}
      <JoinLink sites={sites} />
    </section>
  );
}

function Site({ name, workers }: { readonly name: string; readonly workers: readonly WorkerView[] }) {
  return (
    <div>
      <div class="row apart">
        <h3>{name}</h3>
        <span class="soft small">
          {workers.length} worker{workers.length === 1 ? "" : "s"}
        </span>
      </div>
      <ul class="workers small">
        {workers.map((worker) => (
          <Worker key={worker.id} {...worker} />
        ))}
      </ul>
    </div>
  );
}

/** Links of a worker that are shown. */
const MOST_LINKS = 6;

function Worker({ id, name, gpu, browser, speed, state, holds, relayed, links }: WorkerView) {
  const tally = snapshot.value.run?.byWorker[id];
  return (
    <li>
      <div class="row apart">
        <span>
          <strong>{id}</strong>
          {name !== browser && <span class="soft"> {name}</span>}
        </span>
        <StateLabel {...describeWorkerState(state)} />
      </div>
      <div class="soft">
        {gpu}, <span class="whole">{browser}</span>
        {speed && (
          <>
            , <span class="whole">{formatFlops(speed.block)}</span>
          </>
        )}
      </div>
      {holds && <div>{holds}</div>}
      {tally && (
        <div class="soft">
          sent {formatBytes(tally.siteBytes)} in its site, {formatBytes(tally.wideBytes)} to others
          {tally.computing !== null && `; ${(100 * tally.computing).toFixed(0)} % of its time at work`}
        </div>
      )}
      {links.length > 0 && (
        <div class="soft">
          links:{" "}
          {links.slice(0, MOST_LINKS).map(({ peer, bytesPerSecond, delay, filled }, i) => (
            <>
              {i > 0 && "; "}
              <span class="whole">
                {peer} {!filled && "≥ "}
                {formatBytes(Math.round(bytesPerSecond))}/s, {formatSeconds(delay)}
              </span>
            </>
          ))}
          {links.length > MOST_LINKS && `, and ${links.length - MOST_LINKS} more`}
        </div>
      )}
      {relayed.length > 0 && <div>to {relayed.join(", ")} through the server</div>}
    </li>
  );
}
