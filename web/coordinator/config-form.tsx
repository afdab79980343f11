// A run's configuration to fill in: the fields most people change, and the whole of it as JSON.
import { useRef, useState } from "preact/hooks";
import { describeIssues, RunConfig, type ModelConfig } from "../../core/model/config.ts";
import { parameterSpace } from "../../core/model/parameters.ts";
import { Field } from "../ui/field.tsx";
import { formatCount } from "../../core/format.ts";
import { callApi } from "./api.ts";
import { FIELD_GROUPS, fieldText, sortProblems, writeField, type ConfigField } from "./config-fields.ts";
import { configText, snapshot } from "./state.ts";

/** Past this the list of tensors itself is too long to make at every key press. */
const MOST_LAYERS = 10_000;

export function ConfigForm() {
  const [typed, setTyped] = useState<ReadonlyMap<string, string>>(new Map());
  const [refusals, setRefusals] = useState<readonly string[]>([]);
  const [busy, setBusy] = useState(false);
  // Fields keep showing the last JSON that could be read while the text is being mended.
  const readable = useRef<unknown>(null);
  const json = parseJson(configText.value);
  if (json.ok) readable.current = json.value;
  const parsed = RunConfig.safeParse(json.ok ? json.value : null);
  const { byPath, others } = sortProblems(
    !json.ok ? [json.problem] : parsed.success ? [] : describeIssues(parsed.error),
  );
  const write = (text: string) => {
    configText.value = text;
    setRefusals([]);
  };
  const writeTyped = (field: ConfigField, text: string) => {
    setTyped(new Map(typed).set(field.path, text));
    write(JSON.stringify(writeField(readable.current, field, text), null, 2));
  };
  const start = async (event: Event) => {
    event.preventDefault();
    setBusy(true);
    const answer = await callApi("POST", "/api/runs", json.ok ? json.value : null);
    setRefusals(answer.ok ? [] : answer.problems);
    setBusy(false);
  };
  return (
    <form class="panel" onSubmit={(event) => void start(event)} noValidate>
      <h2>Start a run</h2>
      {FIELD_GROUPS.map(({ title, fields }) => (
        <fieldset key={title} disabled={!json.ok}>
          <legend>{title}</legend>
          <div class="fields">
            {fields.map((field) => (
              <Field
                key={field.path}
                label={field.label}
                wide={field.wide ?? false}
                value={fieldText(readable.current, field, typed.get(field.path))}
                error={byPath.get(field.path)}
                onInput={(text) => writeTyped(field, text)}
              />
            ))}
          </div>
        </fieldset>
      ))}
      <details>
        <summary>The whole configuration as JSON</summary>
        <textarea
          rows={24}
          spellcheck={false}
          aria-label="The whole configuration as JSON"
          aria-invalid={others.length > 0 || byPath.size > 0}
          value={configText.value}
          onInput={(event) => write(event.currentTarget.value)}
        />
      </details>
      <div class="error" aria-live="polite">
        {[...others, ...refusals].map((problem) => (
          <p key={problem}>{problem}</p>
        ))}
      </div>
      <div class="row">
        <button class="primary" type="submit" disabled={busy || !parsed.success}>
          {busy ? "Starting" : "Start"}
        </button>
        <span class="soft">
          {parsed.success
            ? `${describeSize(parsed.data.model)}, ${describeCrew()}`
            : "Mend what is marked first."}
        </span>
      </div>
    </form>
  );
}

function parseJson(text: string): { ok: true; value: unknown } | { ok: false; problem: string } {
  try {
    return { ok: true, value: JSON.parse(text) };
  } catch (error) {
    return { ok: false, problem: `the JSON cannot be read: ${(error as Error).message}` };
  }
}

function describeSize(model: ModelConfig): string {
  if (model.layers > MOST_LAYERS) return `more than ${formatCount(MOST_LAYERS)} layers`;
  return `${formatCount(parameterSpace(model).parameters)} parameters`;
}

function describeCrew(): string {
  const { length } = snapshot.value.workers;
  if (length === 0) return "waits for its first worker";
  return `${length} worker${length === 1 ? "" : "s"}`;
}
