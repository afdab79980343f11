// This machine: its GPU and its place.
import { formatBytes } from "../../ui/format.ts";
import { state } from "../state.ts";

export function MachineFacts() {
  const { gpu, site, name, worker } = state.value;
  return (
    <section class="panel">
      <h2>This machine</h2>
      {!gpu && <p class="soft">No GPU yet.</p>}
      {gpu && (
        <dl class="facts">
          <dt>GPU</dt>
          <dd>{gpu.description}</dd>
          <dt>Browser</dt>
          <dd>{gpu.browser}</dd>
          <dt>Largest buffer</dt>
          <dd>{formatBytes(gpu.maxBufferSize)}</dd>
          <dt>Name</dt>
          <dd>{name || "–"}</dd>
          <dt>Site</dt>
          <dd>{site || "–"}</dd>
          <dt>Worker</dt>
          <dd>{worker ?? "not joined"}</dd>
        </dl>
      )}
    </section>
  );
}
