// The configuration form's fields: where each stands in the JSON, how its text becomes a value and back.

export interface ConfigField {
  readonly label: string;
  /** Path in the configuration, as in the messages of its schema: "model.layers". */
  readonly path: string;
  /** "number": text that is a number becomes one; other text stays, for the schema to name ("auto" is a stages). */
  readonly kind: "text" | "number";
  readonly wide?: boolean;
}

export const FIELD_GROUPS: readonly { readonly title: string; readonly fields: readonly ConfigField[] }[] = [
  {
    title: "Run",
    fields: [
      { label: "Name", path: "name", kind: "text" },
      { label: "Tokenizer", path: "data.tokenizer", kind: "text" },
      { label: "Text (file, folder or package)", path: "data.text", kind: "text", wide: true },
    ],
  },
  {
    title: "Model",
    fields: [
      { label: "Layers", path: "model.layers", kind: "number" },
      { label: "Width", path: "model.width", kind: "number" },
      { label: "Heads", path: "model.heads", kind: "number" },
      { label: "Key-value heads", path: "model.kvHeads", kind: "number" },
      { label: "Hidden width", path: "model.hidden", kind: "number" },
      { label: "Context", path: "model.context", kind: "number" },
      { label: "Vocabulary", path: "model.vocab", kind: "number" },
    ],
  },
  {
    title: "Training",
    fields: [
      { label: "Steps", path: "steps", kind: "number" },
      { label: "Batch (sequences)", path: "batch", kind: "number" },
      { label: "Microbatch", path: "microbatch", kind: "number" },
      { label: "Stages (or auto)", path: "stages", kind: "number" },
      { label: "Learning rate", path: "optimizer.lr", kind: "number" },
      { label: "Warm-up steps", path: "optimizer.warmup", kind: "number" },
      { label: "Steps per sample", path: "sampleEvery", kind: "number" },
      { label: "Steps per checkpoint", path: "checkpointEvery", kind: "number" },
    ],
  },
];

const FIELDS = FIELD_GROUPS.flatMap(({ fields }) => fields);

type Json = Record<string, unknown>;

const isObject = (value: unknown): value is Json => typeof value === "object" && value !== null;

function readValue(config: unknown, path: string): unknown {
  return path.split(".").reduce<unknown>((part, key) => (isObject(part) ? part[key] : undefined), config);
}

function parseValue(text: string, kind: ConfigField["kind"]): string | number {
  return kind === "number" && text.trim() !== "" && Number.isFinite(Number(text)) ? Number(text) : text;
}

/**
 * What the field shows: the text that was typed as long as the configuration has its value ("0.0" on the way to
 * "0.004" must not turn into "0"), else the configuration's value; empty when it has none.
 */
export function fieldText(config: unknown, { path, kind }: ConfigField, typed?: string): string {
  const value = readValue(config, path);
  if (typed !== undefined && parseValue(typed, kind) === value) return typed;
  return typeof value === "string" || typeof value === "number" ? String(value) : "";
}

/** A copy of the configuration with the field set. */
export function writeField(config: unknown, { path, kind }: ConfigField, text: string): Json {
  const set = (part: unknown, [key, ...rest]: string[]): Json => {
    const copy = isObject(part) ? { ...part } : {};
    copy[key!] = rest.length === 0 ? parseValue(text, kind) : set(copy[key!], rest);
    return copy;
  };
  return set(config, path.split("."));
}

/** Sorts problems, lines such as "model.heads: expected a number", by the field they stand under; the rest is left. */
export function sortProblems(problems: readonly string[]): {
  readonly byPath: ReadonlyMap<string, string>;
  readonly others: readonly string[];
} {
  const byPath = new Map<string, string>();
  const others: string[] = [];
  for (const problem of problems) {
    const field = FIELDS.find(({ path }) => problem.startsWith(`${path}: `));
    if (field && !byPath.has(field.path)) byPath.set(field.path, problem.slice(field.path.length + 2));
    else others.push(problem);
  }
  return { byPath, others };
}
