import { effect } from "@preact/signals";
import { render } from "preact";
import { startSession } from "./session.ts";
import { state } from "./state.ts";
function App() {
  const s = state.value;
  return (
    <main>
      <h1>{s.phase}</h1>
      {s.problem && (
        <p role="alert">
          {s.problem.title}: {s.problem.advice}
        </p>
      )}
      <pre>{JSON.stringify(s, null, 1)}</pre>
    </main>
  );
}
effect(() => {
  document.body.dataset.phase = state.value.phase;
});
render(<App />, document.getElementById("app")!);
startSession();
