// The command line's side of a server's HTTP API.
import { z } from "zod";
import { EXIT, UserError } from "./errors.ts";
import type { ServerAddress } from "./options.ts";

const Failure = z.looseObject({ error: z.string(), issues: z.array(z.string()).optional() });

/** Calls the API and reads its answer. @throws UserError with the server's own words */
export async function callServer<T>(
  { origin, token }: ServerAddress,
  method: "GET" | "POST",
  path: string,
  schema: z.ZodType<T>,
  body?: unknown,
): Promise<T> {
  const response = await fetch(`${origin}${path}`, {
    method,
    headers: {
      Authorization: `Bearer ${token}`,
      ...(body !== undefined && { "Content-Type": "application/json" }),
    },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  }).catch((error: unknown) => {
    throw unreachable(origin, error);
  });
  const json: unknown = await response.json().catch(() => null);
  if (response.ok) return schema.parse(json);
  const failure = Failure.safeParse(json);
  const reason = failure.success
    ? (failure.data.issues?.join("; ") ?? failure.data.error)
    : `status ${response.status}`;
  throw new UserError(`${origin}: ${reason}`);
}

const UNTRUSTED = [
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
];

function unreachable(origin: string, error: unknown): UserError {
  const cause = error instanceof Error && (error.cause as { code?: unknown } | undefined);
  if (cause && UNTRUSTED.includes(String(cause.code))) {
    return new UserError(
      `the certificate of ${origin} is not trusted here: copy tls-certificate.pem from the server's data folder and set NODE_EXTRA_CA_CERTS to its path`,
    );
  }
  return new UserError(
    `no server answers at ${origin}: start it with 'tributary serve', or correct --server`,
    EXIT.failed,
  );
}
