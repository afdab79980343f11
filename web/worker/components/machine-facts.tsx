// This machine: its GPU and its place.
import { formatBytes } from "../../../core/format.ts";
import { changePace } from "../session.ts";
import { state } from "../state.ts";

export function MachineFacts() {
  const { gpu, pace, site, name, worker } = state.value;
  const facts: [string, string][] = gpu
    ? [
        ["GPU", gpu.description],
        ["Browser", gpu.browser],
        ["Largest buffer", formatBytes(gpu.maxBufferSize)],
      ]
    : [];
  if (worker) facts.push(["Site", site], ["Name", name], ["Worker", worker]);
  if (facts.length === 0) return null;
  return (
    <section class="panel">
      <h2>This machine</h2>
      <dl class="facts">
        {facts.map(([fact, value]) => (
          <>
            <dt>{fact}</dt>
            <dd>{value}</dd>
          </>
        ))}
        {pace !== null && (
          <>
            <dt>
              <label for="pace">Slowed to, GFLOP/s</label>
            </dt>
            <dd>
              <input
                id="pace"
                type="number"
                min="0"
                step="any"
                value={pace}
                onChange={({ currentTarget }) => changePace(currentTarget.valueAsNumber)}
              />
            </dd>
          </>
        )}
      </dl>
    </section>
  );
}
