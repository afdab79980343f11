// Asks for the owner's token when the address holds none, or a wrong one.
import { useState } from "preact/hooks";
import { Field } from "../ui/field.tsx";
import { connect } from "./connection.ts";
import { connection, token } from "./state.ts";

export function TokenForm() {
  const [text, setText] = useState("");
  const submit = (event: Event) => {
    event.preventDefault();
    token.value = text.trim();
    history.replaceState(null, "", `#token=${encodeURIComponent(token.value)}`);
    connection.value = { kind: "connecting" };
    connect();
  };
  return (
    <form class="panel" onSubmit={submit}>
      <h2>Open the coordinator page</h2>
      <p class="soft">
        Open the coordinator link that <code>tributary serve</code> printed, or paste its token here.
      </p>
      <div class="fields few">
        <Field label="Owner token" value={text} onInput={setText} />
      </div>
      <div class="row">
        <button class="primary" type="submit" disabled={text.trim() === ""}>
          Open
        </button>
      </div>
    </form>
  );
}
