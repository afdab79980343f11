// The worker page: shows what session.ts is doing and lets the person at it join, pause and leave.
import { effect } from "@preact/signals";
import { render } from "preact";
import "../ui/theme.css";
import { JoinForm } from "./components/join-form.tsx";
import { MachineFacts } from "./components/machine-facts.tsx";
import { Work } from "./components/work.tsx";
import { startSession } from "./session.ts";
import { state, type Phase } from "./state.ts";

const PHASES: Record<Phase, string> = {
  checking: "looking for a GPU",
  unsupported: "cannot take part",
  form: "ready to join",
  joining: "joining",
  idle: "waiting for a run",
  loading: "loading its part of the model",
  training: "training",
  paused: "paused",
  refused: "refused",
  left: "left",
  disconnected: "not connected",
};

function WorkerPage() {
  const { phase, problem, log } = state.value;
  return (
    <>
      <header class="bar">
        <h1>Tributary worker</h1>
        <span class="state" aria-live="polite">
          {PHASES[phase]}
        </span>
      </header>
      <main>
        {problem && (
          <div class="alert" role="alert">
            <strong>{problem.title}.</strong> {problem.advice}
          </div>
        )}
        {(phase === "form" || phase === "refused" || phase === "left") && <JoinForm />}
        <div class="columns">
          <MachineFacts />
          <Work />
        </div>
        <section class="panel">
          <h2>Log</h2>
          <ul class="log">
            {log.toReversed().map((line) => (
              <li key={line}>{line}</li>
            ))}
          </ul>
        </section>
      </main>
    </>
  );
}

effect(() => {
  const { phase, site } = state.value;
  document.body.dataset.phase = phase;
  document.title = `${PHASES[phase]}${site ? ` · site ${site}` : ""} · Tributary`;
});
render(<WorkerPage />, document.getElementById("app")!);
startSession();
