// Joining by hand: what a link would have held.
import { useState } from "preact/hooks";
import { SiteName } from "../../../core/protocol/control.ts";
import { Field } from "../../ui/field.tsx";
import { join } from "../session.ts";
import { state } from "../state.ts";

export function JoinForm() {
  const [site, setSite] = useState(state.value.site);
  const [name, setName] = useState(state.value.name);
  const [token, setToken] = useState(new URLSearchParams(location.hash.slice(1)).get("token") ?? "");
  const [tried, setTried] = useState(false);
  const errors = {
    site: SiteName.safeParse(site).error?.issues[0]?.message,
    name: name.trim() === "" || name.length > 60 ? "give a name of 1 to 60 characters" : undefined,
    token:
      token.trim() === "" ? "paste the token of the worker link that 'tributary serve' printed" : undefined,
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
      <div class="fields few">
        <Field label="Site" value={site} error={tried ? errors.site : undefined} onInput={setSite} />
        <Field
          label="Name of this machine"
          value={name}
          error={tried ? errors.name : undefined}
          onInput={setName}
        />
        <Field label="Join token" value={token} error={tried ? errors.token : undefined} onInput={setToken} />
      </div>
      <div class="row">
        <button class="primary" type="submit">
          Join
        </button>
      </div>
    </form>
  );
}
