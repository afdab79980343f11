// The two tokens of a server: who has the owner's may do anything, who has the worker's may join and move blobs.
import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { UserError } from "./errors.ts";

const TokenFile = z.strictObject({ owner: z.string().min(20), worker: z.string().min(20) });
export type TokenPair = z.infer<typeof TokenFile>;
export type Role = keyof TokenPair;

export class Tokens {
  readonly owner: string;
  readonly worker: string;

  private constructor({ owner, worker }: TokenPair) {
    this.owner = owner;
    this.worker = worker;
  }

  /** The data folder's tokens, made at the first start; readable by their owner only. */
  static async open(data: string): Promise<Tokens> {
    const path = join(data, "tokens.json");
    const stored = await readFile(path, "utf8").catch(() => null);
    if (stored !== null) return new Tokens(parseTokens(path, stored));
    const fresh = { owner: makeToken("owner"), worker: makeToken("worker") };
    await mkdir(data, { recursive: true });
    await writeFile(path, JSON.stringify(fresh), { mode: 0o600 });
    return new Tokens(fresh);
  }

  roleOf(token: string | undefined): Role | null {
    if (token && same(token, this.owner)) return "owner";
    if (token && same(token, this.worker)) return "worker";
    return null;
  }
}

/** Begins with a letter: on a command line it must look neither like an option nor like a number. */
function makeToken(role: Role): string {
  return `${role}-${randomBytes(16).toString("hex")}`;
}

function parseTokens(path: string, text: string): TokenPair {
  try {
    return TokenFile.parse(JSON.parse(text));
  } catch {
    throw new UserError(`${path} is damaged: delete it, and new tokens are made at the next start`);
  }
}

/** Takes the same time whatever differs. */
function same(a: string, b: string): boolean {
  const digest = (text: string) => createHash("sha256").update(text).digest();
  return timingSafeEqual(digest(a), digest(b));
}
