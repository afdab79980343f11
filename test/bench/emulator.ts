// A wide-area network between network namespaces of this machine, by the program `wan` (root, Linux only).
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { UserError } from "../../server/errors.ts";
import { programNamedBy, programOnPath } from "../../server/programs.ts";
import type { Network } from "./network.ts";

/** What a router before a slow line holds, in KB. */
const QUEUE_KB = 500;

export interface Place {
  /** Words before a command that is to run there. */
  readonly prefix: readonly string[];
  readonly address: string;
}

export interface Places {
  readonly server: Place;
  readonly pages: readonly [Place, Place];
  close(): void;
}

export function loopback(): Places {
  const here = { prefix: [], address: "127.0.0.1" };
  return { server: here, pages: [here, here], close() {} };
}

/** The server's namespace has no delay; each page's line has half of the delay and half of the loss. */
export function emulate({ delayMs, mbit, loss }: Network): Places {
  const wan = programNamedBy("TRIBUTARY_WAN") ?? programOnPath(["wan"]);
  if (!wan)
    throw new UserError("--wan needs the emulator 'wan': put it on the PATH or name it in TRIBUTARY_WAN");
  const state = mkdtempSync(join(tmpdir(), "tributary-wan-"));
  const run = (...words: string[]) =>
    execFileSync(wan, words, { env: { ...process.env, WAN_STATE: state }, encoding: "utf8" }).trim();
  const line = `${delayMs / 2}:${mbit}:${loss / 2}:${QUEUE_KB}`;
  const names = ["links-hub", "links-east", "links-west"] as const;
  run("up", names[0], `${names[1]}:${line}`, `${names[2]}:${line}`);
  const place = (name: string): Place => ({
    prefix: ["ip", "netns", "exec", `wan-${name}`],
    address: run("addr", name),
  });
  return {
    server: place(names[0]),
    pages: [place(names[1]), place(names[2])],
    close() {
      run("down");
      rmSync(state, { recursive: true, force: true });
    },
  };
}
