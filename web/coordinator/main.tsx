// The coordinator page: sites and workers, the run on show, and a form to start the next one.
import { render } from "preact";
import { useState } from "preact/hooks";
import "../ui/theme.css";
import { Field } from "../ui/field.tsx";
import { ConfigForm } from "./config-form.tsx";
import { connect } from "./connection.ts";
import { describeEvent } from "./describe-event.ts";
import { RunPanel } from "./run-panel.tsx";
import { Sites } from "./sites.tsx";
import { connection, events, snapshot, token } from "./state.ts";

const ENDED = ["done", "stopped", "failed"];

function CoordinatorPage() {
  const now = connection.value;
  const { run } = snapshot.value;
  const refused = typeof now === "object" ? now.refused : null;
  return (
    <>
      <header class="bar">
        <h1>Tributary</h1>
        <span class="soft" aria-live="polite">
          {now === "lost" ? "no connection to the server, trying again" : location.host}
        </span>
      </header>
      <main>
        {refused && (
          <div class="alert" role="alert">
            <strong>Refused.</strong> {refused}
          </div>
        )}
        {(now === "no token" || refused) && <TokenForm />}
        {(now === "open" || now === "lost") && (
          <>
            <RunPanel />
            <div class="columns">
              <Sites />
              {(!run || ENDED.includes(run.status)) && <ConfigForm />}
              {run && <Events />}
            </div>
          </>
        )}
      </main>
    </>
  );
}

function Events() {
  const lines = events.value.map(describeEvent).filter((line) => line !== null);
  return (
    <section class="panel">
      <h2>Events</h2>
      <ul class="log">
        {lines.toReversed().map((line, i) => (
          <li key={lines.length - i}>{line}</li>
        ))}
      </ul>
    </section>
  );
}

function TokenForm() {
  const [text, setText] = useState("");
  const submit = (event: Event) => {
    event.preventDefault();
    token.value = text.trim();
    history.replaceState(null, "", `#token=${token.value}`);
    connection.value = "connecting";
    connect();
  };
  return (
    <form class="panel" onSubmit={submit}>
      <h2>Who are you?</h2>
      <p class="soft">
        Open the coordinator link that <code>tributary serve</code> printed, or paste its token here.
      </p>
      <Field label="Owner token" value={text} onInput={setText} />
      <div class="actions">
        <button class="primary" type="submit" disabled={text.trim() === ""}>
          Go on
        </button>
      </div>
    </form>
  );
}

render(<CoordinatorPage />, document.getElementById("app")!);
connect();
