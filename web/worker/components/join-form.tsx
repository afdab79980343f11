// Joining by hand: what a link would have held.
import { useState } from "preact/hooks";
import { SiteName } from "../../../core/protocol/control.ts";
import { Field } from "../../ui/field.tsx";
import { join } from "../session.ts";
import { state } from "../state.ts";

export function JoinForm() {
  const [site, setSite] = useState(state.value.site);
  const [name, setName] = useState(state.value.name);
  const [token, setToken] = useState("");
  const [tried, setTried] = useState(false);
  const errors = {
    site: SiteName.safeParse(site).error?.issues[0]?.message,
    name: name.trim() === "" ? "give this machine a name" : undefined,
    token: token.trim() === "" ? "paste the token that `tributary serve` printed" : undefined,
  };
  const submit = (event: Event) => {
    event.preventDefault();
    setTried(true);
    if (!errors.site && !errors.name && !errors.token) join({ site, name: name.trim(), token: token.trim() });
  };
  return (
    <form class="panel" onSubmit={submit} noValidate>
      <h2>Join a site</h2>
      <p class="soft">
        A site is a group of machines with fast links between them: an office, a lab, a home.
      </p>
      <div class="columns">
        <Field label="Site" value={site} error={tried ? errors.site : undefined} onInput={setSite} />
        <Field
          label="Name of this machine"
          value={name}
          error={tried ? errors.name : undefined}
          onInput={setName}
        />
        <Field label="Join token" value={token} error={tried ? errors.token : undefined} onInput={setToken} />
      </div>
      <div class="actions">
        <button class="primary" type="submit">
          Join
        </button>
      </div>
    </form>
  );
}
