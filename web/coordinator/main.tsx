// The coordinator page: sites and workers, the run on show, and a form to start the next one.
import { effect } from "@preact/signals";
import { render } from "preact";
import "../ui/theme.css";
import { Notice } from "../ui/notice.tsx";
import { PageBar } from "../ui/page-bar.tsx";
import { ConfigForm } from "./config-form.tsx";
import { connect } from "./connection.ts";
import { describeRunState, isEnded } from "./describe-state.ts";
import { EventsPanel } from "./events-panel.tsx";
import { RunPanel } from "./run-panel.tsx";
import { Sites } from "./sites.tsx";
import { connection, snapshot } from "./state.ts";
import { TokenForm } from "./token-form.tsx";

function CoordinatorPage() {
  const now = connection.value;
  return (
    <>
      <PageBar title="Tributary">
        <span class="soft small end">{location.host}</span>
      </PageBar>
      <main>
        {now.kind === "lost" && (
          <Notice
            title="No connection to the server"
            advice={`Trying ${location.host} again in ${now.retrySeconds} s. What is shown may be old.`}
          />
        )}
        {now.kind === "refused" && <Notice title="The server refused this page" advice={now.reason} />}
        {now.kind === "connecting" && <p class="soft">Connecting to {location.host}</p>}
        {(now.kind === "no token" || now.kind === "refused") && <TokenForm />}
        {(now.kind === "open" || now.kind === "lost") && <Dashboard />}
      </main>
    </>
  );
}

function Dashboard() {
  const { run } = snapshot.value;
  return (
    <div class="columns">
      <div class="column">
        {run && <RunPanel run={run} />}
        {(!run || isEnded(run.status)) && <ConfigForm />}
      </div>
      <div class="column">
        <Sites />
        {run && <EventsPanel />}
      </div>
    </div>
  );
}

effect(() => {
  const { run } = snapshot.value;
  const words =
    run && (isEnded(run.status) ? describeRunState(run.status).words : `${run.step}/${run.config.steps}`);
  document.title = [words, run?.id, "Tributary"].filter(Boolean).join(" · ");
});
render(<CoordinatorPage />, document.getElementById("app")!);
if (connection.value.kind === "connecting") connect();
