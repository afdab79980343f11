// The worker page: shows what session.ts is doing and lets the person at it join, pause and leave.
import { effect } from "@preact/signals";
import { render } from "preact";
import "../ui/theme.css";
import { Notice } from "../ui/notice.tsx";
import { PageBar } from "../ui/page-bar.tsx";
import { StateLabel } from "../ui/state-label.tsx";
import { PHASES } from "./components/describe-phase.ts";
import { JoinForm } from "./components/join-form.tsx";
import { Log } from "./components/log.tsx";
import { MachineFacts } from "./components/machine-facts.tsx";
import { Work } from "./components/work.tsx";
import { startSession } from "./session.ts";
import { state } from "./state.ts";

const FORM_PHASES = new Set(["form", "refused", "left"]);
const WORK_PHASES = new Set(["joining", "idle", "loading", "tuning", "training", "paused", "disconnected"]);

function WorkerPage() {
  const { phase, problem } = state.value;
  return (
    <>
      <PageBar title="Tributary worker">
        <div role="status">
          <StateLabel {...PHASES[phase]} />
        </div>
        <span class="soft small end">{location.host}</span>
      </PageBar>
      <main>
        {problem && <Notice {...problem} />}
        <div class="columns">
          <div class="column">
            {FORM_PHASES.has(phase) && <JoinForm />}
            {WORK_PHASES.has(phase) && <Work />}
            <Log />
          </div>
          <MachineFacts />
        </div>
      </main>
    </>
  );
}

effect(() => {
  const { phase, site, run, step, steps } = state.value;
  document.body.dataset.phase = phase;
  const words = run && phase === "training" ? `${step}/${steps}` : PHASES[phase].words;
  document.title = [words, site && `site ${site}`, "Tributary"].filter(Boolean).join(" · ");
});
render(<WorkerPage />, document.getElementById("app")!);
startSession();
