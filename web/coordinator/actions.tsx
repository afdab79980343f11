// Buttons for things asked of the server: one at a time, with what it refused under them.
import { useState } from "preact/hooks";
import type { Answer } from "./api.ts";

export type Action = readonly [label: string, act: () => Promise<Answer<unknown>>];

export function Actions({ actions }: { readonly actions: readonly Action[] }) {
  const [busy, setBusy] = useState(false);
  const [problems, setProblems] = useState<readonly string[]>([]);
  const run = async (act: Action[1]) => {
    setBusy(true);
    const answer = await act();
    setProblems(answer.ok ? [] : answer.problems);
    setBusy(false);
  };
  return (
    <>
      <div class="row">
        {actions.map(([label, act]) => (
          <button key={label} type="button" disabled={busy} onClick={() => void run(act)}>
            {label}
          </button>
        ))}
      </div>
      <div class="error" role="alert">
        {problems.map((problem) => (
          <p key={problem}>{problem}</p>
        ))}
      </div>
    </>
  );
}
