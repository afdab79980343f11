// Values of command-line options, checked.
import { SiteName } from "../core/protocol/control.ts";
import { BROWSERS, type BrowserKind } from "./browsers.ts";
import { UserError } from "./errors.ts";
import type { WorkerOptions } from "./headless.ts";

const MAX_WORKERS = 64;

export function parsePort(value: string): number {
  return parseCount("--port", value, 0, 65535);
}

/** @throws UserError naming the option and the range */
export function parseCount(option: string, value: string, least: number, most: number): number {
  const count = Number(value);
  if (Number.isInteger(count) && count >= least && count <= most) return count;
  throw new UserError(`${option} is '${value}': give a whole number from ${least} to ${most}`);
}

export function parseSite(name: string): string {
  const parsed = SiteName.safeParse(name);
  if (parsed.success) return parsed.data;
  throw new UserError(`'${name}' is no name for a site: ${parsed.error.issues[0]!.message}`);
}

export function parseBrowser(option: string, name: string): BrowserKind {
  const kind = BROWSERS.find((known) => known === name);
  if (kind) return kind;
  throw new UserError(`${option} is '${name}': give ${BROWSERS.join(" or ")}`);
}

export function parseWorkerCount(option: string, value: string): number {
  return parseCount(option, value, 1, MAX_WORKERS);
}

/** GFLOP/s, above 0. */
export function parsePace(option: string, value: string): number {
  const pace = Number(value);
  if (pace > 0 && Number.isFinite(pace)) return pace;
  throw new UserError(`${option} is '${value}': give a number of GFLOP/s above 0`);
}

/** Headless workers of a kind, of one site. */
export type Crew = Pick<WorkerOptions, "site" | "count" | "browser" | "pace">;

/** "a:2,b:1:firefox:0.5"; a site may come again. @throws UserError */
export function parseSites(list: string | undefined): Crew[] {
  if (!list) throw new UserError("give the sites with --sites, such as --sites a:2,b:2");
  return list.split(",").map((entry) => {
    const [name = "", count = "1", browser = "chromium", pace, ...rest] = entry.split(":");
    if (rest.length > 0) throw new UserError(`--sites: '${entry}' is not NAME:COUNT:BROWSER:PACE`);
    return {
      site: parseSite(name),
      count: parseWorkerCount(`--sites: the count of '${name}'`, count),
      browser: parseBrowser(`--sites: the browser of '${name}'`, browser),
      pace: pace === undefined ? null : parsePace(`--sites: the pace of '${name}'`, pace),
    };
  });
}

export interface ServerAddress {
  /** Without a path. */
  readonly origin: string;
  readonly token: string;
}

/**
 * A server's address and the token for it: from --token, from the address itself (links that `serve` prints hold
 * one), or from TRIBUTARY_TOKEN.
 */
export function parseServer({ server, token }: { server?: string; token?: string }): ServerAddress {
  if (!server) throw new UserError("give the server's address with --server, such as http://localhost:8787");
  if (!URL.canParse(server))
    throw new UserError(`--server is '${server}': give an address such as http://localhost:8787`);
  const { origin, hash } = new URL(server);
  const found = token ?? new URLSearchParams(hash.slice(1)).get("token") ?? process.env.TRIBUTARY_TOKEN;
  if (!found) throw new UserError("give the token that 'tributary serve' printed with --token");
  return { origin, token: found };
}
