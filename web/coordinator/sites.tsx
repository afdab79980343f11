// Sites and their workers, and the link that brings a machine in.
import { useState } from "preact/hooks";
import { SiteName } from "../../core/protocol/control.ts";
import type { WorkerView } from "../../core/protocol/events.ts";
import { Field } from "../ui/field.tsx";
import { snapshot, workerToken } from "./state.ts";

export function Sites() {
  const { workers } = snapshot.value;
  const sites = [...new Set(workers.map(({ site }) => site))];
  return (
    <section class="panel">
      <h2>Sites</h2>
      {workers.length === 0 && (
        <p class="soft">No worker yet. Open a join link on each machine with a GPU.</p>
      )}
      {sites.map((name) => (
        <Site key={name} name={name} workers={workers.filter(({ site }) => site === name)} />
      ))}
      <JoinLink />
    </section>
  );
}

function Site({ name, workers }: { readonly name: string; readonly workers: readonly WorkerView[] }) {
  return (
    <div class="scroll">
      <h3>
        Site {name}: {workers.length} worker{workers.length === 1 ? "" : "s"}
      </h3>
      <table>
        <thead>
          <tr>
            <th>Worker</th>
            <th>GPU and browser</th>
            <th>State</th>
            <th>Holds</th>
          </tr>
        </thead>
        <tbody>
          {workers.map(({ id, name: machine, gpu, browser, state, holds }) => (
            <tr key={id}>
              <td>
                {id}
                {machine !== browser && <div class="soft">{machine}</div>}
              </td>
              <td>
                {gpu}
                <div class="soft">{browser}</div>
              </td>
              <td>{state}</td>
              <td>{holds || "–"}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function JoinLink() {
  const [site, setSite] = useState("");
  const [copied, setCopied] = useState(false);
  const valid = SiteName.safeParse(site);
  const link = `${location.origin}/worker?site=${encodeURIComponent(site)}#token=${workerToken.value}`;
  return (
    <>
      <h3>Bring a machine in</h3>
      <Field
        label="Site it belongs to"
        value={site}
        error={site === "" ? undefined : valid.error?.issues[0]?.message}
        onInput={(value) => {
          setSite(value);
          setCopied(false);
        }}
      />
      {valid.success && workerToken.value && (
        <div class="actions">
          <a class="button" href={link} target="_blank" rel="noreferrer">
            Open a worker here
          </a>
          <button
            type="button"
            onClick={() => void navigator.clipboard.writeText(link).then(() => setCopied(true))}
          >
            {copied ? "Copied" : "Copy its join link"}
          </button>
        </div>
      )}
    </>
  );
}
