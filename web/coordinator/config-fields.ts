// The configuration form's fields: where each stands in the JSON, and how its text becomes a value.

export interface ConfigField {
  readonly label: string;
  /** Path in the configuration, as in the messages of its schema: "model.layers". */
  readonly path: string;
  readonly kind: "text" | "number" | "stages";
}

export const CONFIG_FIELDS: readonly ConfigField[] = [
  { label: "Name", path: "name", kind: "text" },
  { label: "Text: file, folder or package", path: "data.text", kind: "text" },
  { label: "Tokenizer", path: "data.tokenizer", kind: "text" },
  { label: "Layers", path: "model.layers", kind: "number" },
  { label: "Width", path: "model.width", kind: "number" },
  { label: "Heads", path: "model.heads", kind: "number" },
  { label: "Key-value heads", path: "model.kvHeads", kind: "number" },
  { label: "Hidden width", path: "model.hidden", kind: "number" },
  { label: "Context", path: "model.context", kind: "number" },
  { label: "Vocabulary", path: "model.vocab", kind: "number" },
  { label: "Steps", path: "steps", kind: "number" },
  { label: "Batch, sequences", path: "batch", kind: "number" },
  { label: "Microbatch", path: "microbatch", kind: "number" },
  { label: "Learning rate", path: "optimizer.lr", kind: "number" },
  { label: "Stages: a number or auto", path: "stages", kind: "stages" },
];

type Json = Record<string, unknown>;

const isObject = (value: unknown): value is Json => typeof value === "object" && value !== null;

/** The field's value as text; empty when the configuration has none. */
export function readField(config: unknown, path: string): string {
  const value = path
    .split(".")
    .reduce<unknown>((part, key) => (isObject(part) ? part[key] : undefined), config);
  return value === undefined || value === null ? "" : String(value);
}

/** A copy of the configuration with the field set; text that is no number stays text, for the schema to name. */
export function writeField(config: unknown, { path, kind }: ConfigField, text: string): Json {
  const isNumber = kind !== "text" && text.trim() !== "" && Number.isFinite(Number(text));
  const value = isNumber ? Number(text) : text;
  const set = (part: unknown, [key, ...rest]: string[]): Json => {
    const copy = isObject(part) ? { ...part } : {};
    copy[key!] = rest.length === 0 ? value : set(copy[key!], rest);
    return copy;
  };
  return set(config, path.split("."));
}
