// A run's configuration to fill in: the fields most people change, and the whole of it as JSON.
import { useState } from "preact/hooks";
import demo from "../../core/model/demo.json";
import { describeIssues, RunConfig } from "../../core/model/config.ts";
import { parameterSpace } from "../../core/model/parameters.ts";
import { Field } from "../ui/field.tsx";
import { formatCount } from "../ui/format.ts";
import { CONFIG_FIELDS, readField, writeField } from "./config-fields.ts";
import { callApi } from "./connection.ts";
import { snapshot } from "./state.ts";

export function ConfigForm() {
  const [text, setText] = useState(JSON.stringify(demo, null, 2));
  const [refusals, setRefusals] = useState<readonly string[]>([]);
  const [busy, setBusy] = useState(false);
  const json = parse(text);
  const parsed = RunConfig.safeParse(json.value);
  const problems = json.error ? [json.error] : parsed.success ? [] : describeIssues(parsed.error);
  const errorOf = (path: string) =>
    problems.find((problem) => problem.startsWith(`${path}: `))?.slice(path.length + 2);
  const workers = snapshot.value.workers.length;

  const start = async (event: Event) => {
    event.preventDefault();
    setBusy(true);
    const answer = await callApi("POST", "/api/runs", json.value);
    setRefusals(answer.ok ? [] : answer.problems);
    setBusy(false);
  };
  return (
    <form class="panel" onSubmit={(event) => void start(event)} noValidate>
      <h2>Start a run</h2>
      <div class="fields">
        {CONFIG_FIELDS.map((field) => (
          <Field
            key={field.path}
            label={field.label}
            value={readField(json.value, field.path)}
            error={errorOf(field.path)}
            onInput={(value) => setText(JSON.stringify(writeField(json.value, field, value), null, 2))}
          />
        ))}
      </div>
      <details>
        <summary>The whole configuration</summary>
        <label>
          <span>JSON</span>
          <textarea
            rows={24}
            spellcheck={false}
            value={text}
            aria-invalid={problems.length > 0}
            onInput={(event) => setText(event.currentTarget.value)}
          />
        </label>
      </details>
      <ul class="error" aria-live="polite">
        {[...problems, ...refusals].map((problem) => (
          <li key={problem}>{problem}</li>
        ))}
      </ul>
      <p class="soft">
        {parsed.success && `${formatCount(parameterSpace(parsed.data.model).parameters)} parameters. `}
        {workers === 0
          ? "The run will wait for its first worker."
          : `${workers} worker${workers === 1 ? "" : "s"} will take part.`}
      </p>
      <button class="primary" type="submit" disabled={busy || problems.length > 0}>
        {busy ? "Starting" : "Start"}
      </button>
    </form>
  );
}

function parse(text: string): { value: unknown; error: string | null } {
  try {
    return { value: JSON.parse(text), error: null };
  } catch (error) {
    return { value: null, error: `not JSON: ${(error as Error).message}` };
  }
}
