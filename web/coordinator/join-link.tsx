// The link that brings a machine into a site.
import { useId, useRef, useState } from "preact/hooks";
import { SiteName } from "../../core/protocol/control.ts";
import { Field } from "../ui/field.tsx";
import { workerToken } from "./state.ts";

const LOCAL_HOSTS = new Set(["localhost", "127.0.0.1", "[::1]"]);

export function JoinLink({ sites }: { readonly sites: readonly string[] }) {
  const [typed, setTyped] = useState<string | null>(null);
  const site = typed ?? sites[0] ?? "home";
  const problem = SiteName.safeParse(site).error?.issues[0]?.message;
  return (
    <div class="group">
      <h3>Bring a machine in</h3>
      <Field label="Site" value={site} error={problem} onInput={setTyped} />
      {!problem && workerToken.value && (
        <CopyLink
          link={`${location.origin}/worker?site=${encodeURIComponent(site)}#token=${workerToken.value}`}
        />
      )}
      {!isSecureContext && (
        <p class="error">
          Browsers give pages WebGPU only on https or localhost: start the server with <code>--tls</code>, and
          use its https address.
        </p>
      )}
      {LOCAL_HOSTS.has(location.hostname) && (
        <p class="soft small">
          This link works on this machine only. For others, start the server with <code>--tls</code> and open
          this page at the server's network address.
        </p>
      )}
    </div>
  );
}

function CopyLink({ link }: { readonly link: string }) {
  const id = useId();
  const input = useRef<HTMLInputElement>(null);
  const [copied, setCopied] = useState("");
  const copy = async () => {
    input.current!.select();
    try {
      await navigator.clipboard.writeText(link);
      setCopied(link);
    } catch {
      // No clipboard (plain http) or no permission: the link is selected, ready to be copied by hand.
    }
  };
  return (
    <div class="field">
      <label for={id}>Join link</label>
      <div class="joined">
        <input id={id} ref={input} value={link} readOnly onFocus={(event) => event.currentTarget.select()} />
        <button type="button" onClick={() => void copy()}>
          {copied === link ? "Copied" : "Copy"}
        </button>
        <a class="button" href={link} target="_blank" rel="noreferrer">
          Open
        </a>
      </div>
    </div>
  );
}
