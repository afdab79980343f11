// Something is wrong: what, and how to mend it.
export function Notice({ title, advice }: { readonly title: string; readonly advice: string }) {
  return (
    <div class="notice" role="alert">
      <strong>{title}</strong>
      <p>{advice}</p>
    </div>
  );
}
