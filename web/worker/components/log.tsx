// What happened at this page, newest first.
import { state } from "../state.ts";

export function Log() {
  const { log } = state.value;
  if (log.length === 0) return null;
  return (
    <section class="panel">
      <h2>Log</h2>
      <ul class="scroller small" tabIndex={0} aria-label="Log, newest first">
        {log.toReversed().map((line, i) => (
          <li key={log.length - i}>
            <code>{line}</code>
          </li>
        ))}
      </ul>
    </section>
  );
}
