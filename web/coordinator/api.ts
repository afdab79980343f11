// The server's HTTP API, as the run's owner.
import { z } from "zod";
import { token } from "./state.ts";

const Failure = z.looseObject({ error: z.string(), issues: z.array(z.string()).optional() });

export type Answer<T> =
  { readonly ok: true; readonly value: T } | { readonly ok: false; readonly problems: readonly string[] };

/** Calls the server; what it refuses comes back as lines to show. */
export async function callApi(
  method: "GET" | "POST",
  path: string,
  body?: unknown,
): Promise<Answer<Response>> {
  let response: Response;
  try {
    response = await fetch(path, {
      method,
      headers: { Authorization: `Bearer ${token.value}` },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
  } catch {
    return { ok: false, problems: ["the server does not answer: is it still running?"] };
  }
  if (response.ok) return { ok: true, value: response };
  const failure = Failure.safeParse(await response.json().catch(() => null));
  if (!failure.success)
    return { ok: false, problems: [`the server answered with status ${response.status}`] };
  return { ok: false, problems: failure.data.issues ?? [failure.data.error] };
}

/** Fetches a file of the run's latest checkpoint and lets the browser save it. */
export async function download(run: string, name: string): Promise<Answer<null>> {
  const answer = await callApi("GET", `/api/runs/${run}/files/${name}`);
  if (!answer.ok) return answer;
  const url = URL.createObjectURL(await answer.value.blob());
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  // The browser reads the blob after this task.
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
  return { ok: true, value: null };
}
