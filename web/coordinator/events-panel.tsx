// What happened in the run, newest first; steps are left to the chart.
import { describeEvent } from "./describe-event.ts";
import { events } from "./state.ts";
import "./events-panel.css";

const SHOWN = 200;

export function EventsPanel() {
  const sentences = events.value.map(describeEvent).filter((sentence) => sentence !== null);
  return (
    <section class="panel">
      <h2>Events</h2>
      <ol class="events scroller small" tabIndex={0} aria-label="Events, newest first" reversed>
        {sentences
          .slice(-SHOWN)
          .toReversed()
          .map(({ words, details, wrong }, i) => (
            <li key={sentences.length - i} class={wrong ? "wrong" : ""}>
              {words}
              {details.map((line) => (
                <div key={line} class="soft">
                  {line}
                </div>
              ))}
            </li>
          ))}
      </ol>
    </section>
  );
}
