// A labelled input with its error beside it.
import { useId } from "preact/hooks";

export interface FieldProps {
  readonly label: string;
  readonly value: string;
  readonly error?: string | undefined;
  readonly onInput: (value: string) => void;
}

export function Field({ label, value, error, onInput }: FieldProps) {
  const id = useId();
  return (
    <div class="field">
      <label>
        <span>{label}</span>
        <input
          type="text"
          value={value}
          aria-invalid={error !== undefined}
          {...(error && { "aria-describedby": id })}
          onInput={(event) => onInput(event.currentTarget.value)}
        />
      </label>
      {error && (
        <span class="error" id={id}>
          {error}
        </span>
      )}
    </div>
  );
}
