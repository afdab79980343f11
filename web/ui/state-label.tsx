// A state in words with a dot before it.
export type Tone = "calm" | "busy" | "wrong";

export function StateLabel({ words, tone }: { readonly words: string; readonly tone: Tone }) {
  return (
    <span class="state" data-tone={tone}>
      {words}
    </span>
  );
}
