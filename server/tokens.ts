// The two tokens of a server: who has the owner's may do anything, who has the worker's may join and move blobs.
import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";

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
    if (stored !== null) return new Tokens(TokenFile.parse(JSON.parse(stored)));
    const fresh = {
      owner: randomBytes(18).toString("base64url"),
      worker: randomBytes(18).toString("base64url"),
    };
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

/** Takes the same time whatever differs. */
function same(a: string, b: string): boolean {
  const digest = (text: string) => createHash("sha256").update(text).digest();
  return timingSafeEqual(digest(a), digest(b));
}
