// `npm run bench -- wan`: two sites over an emulated wide-area network, by the commands that people use: a server and
// two workers, each in a network namespace of its own, and a run by strategy `sync` and one by `rounds`.
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import demo from "../../../core/model/demo.json" with { type: "json" };
import { RunConfig, type StrategyConfig } from "../../../core/model/config.ts";
import { RunEvent, type DoneEvent } from "../../../core/protocol/events.ts";
import { launchChromium } from "../../../server/browser.ts";
import { UserError } from "../../../server/errors.ts";
import { emulate, type Place } from "../emulator.ts";
import { describeMachine } from "../machine.ts";
import type { WanOptions } from "./options.ts";
import type { WanResult } from "./result.ts";

const PORT = 8787;
const NEVER = 1e6;
const SITES = ["east", "west"] as const;
/** GFLOP/s of each: what two cores can do for both at once. Unpaced, each would be slowed by the other, and left out. */
const PACE = "1.2";

const STRATEGIES: Readonly<Record<string, StrategyConfig>> = {
  "sync f32": { kind: "sync", gradients: "f32" },
  "rounds int4": {
    kind: "rounds",
    inner: 40,
    fragments: 3,
    overlap: 4,
    bits: 4,
    outerLr: 1,
    outerMomentum: 0,
    merge: 0,
  },
};

export async function measureWan(
  { network, steps }: WanOptions,
  say: (line: string) => void,
): Promise<WanResult> {
  const places = emulate(network);
  const folder = await mkdtemp(join(tmpdir(), "tributary-wan-"));
  const commands: Command[] = [];
  const start = (place: Place, words: readonly string[], environment: NodeJS.ProcessEnv = {}) => {
    const command = tributary(place, words, environment);
    commands.push(command);
    return command;
  };
  try {
    const server = start(places.server, ["serve", "--tls", "--port", String(PORT), "--data", folder]);
    const link = new RegExp(`https://${places.server.address}:${PORT}/worker#token=(\\S+)`);
    const owner = (await lineWith(server, /coordinator page:.*#token=(\S+)/))[1]!;
    const token = (await lineWith(server, link))[1]!;
    const address = `https://${places.server.address}:${PORT}`;
    await Promise.all(
      places.pages.map((place, i) => {
        const words = ["worker", "--server", address, "--site", SITES[i]!, "--token", token, "--pace", PACE];
        return lineWith(start(place, words), /joined site/);
      }),
    );
    const rows = [];
    for (const [name, strategy] of Object.entries(STRATEGIES)) {
      const config = RunConfig.parse({
        ...demo,
        name: "wan",
        batch: 32,
        steps,
        strategy,
        validEvery: NEVER,
        sampleEvery: NEVER,
        checkpointEvery: NEVER,
      });
      const file = join(folder, "run.json");
      await writeFile(file, JSON.stringify(config));
      const words = ["run", file, "--server", address, "--token", owner, "--json"];
      const trust = { NODE_EXTRA_CA_CERTS: join(folder, "tls-certificate.pem") };
      const { seconds, done } = await follow(start(places.server, words, trust), say);
      const { loss, computing, overlapped, wideBytes } = done;
      rows.push({ strategy: name, steps, seconds, loss, computing, overlapped, wideBytes });
    }
    return { command: "wan", runtime: await chromiumVersion(), ...describeMachine(), network, rows };
  } finally {
    for (const { child } of commands.toReversed()) await end(child);
    places.close();
    await rm(folder, { recursive: true, force: true });
  }
}

/** A command that goes on, and the lines that it prints. */
interface Command {
  readonly child: ChildProcess;
  readonly lines: AsyncIterator<string>;
}

function tributary({ prefix }: Place, args: readonly string[], environment: NodeJS.ProcessEnv): Command {
  const words = [...prefix, process.execPath, "server/bin.mjs", ...args];
  const env = { ...process.env, ...environment };
  const child = spawn(words[0]!, words.slice(1), { stdio: ["ignore", "pipe", "inherit"], env });
  return { child, lines: createInterface({ input: child.stdout })[Symbol.asyncIterator]() };
}

/** The next line that matches. @throws UserError when the command ends without it */
async function lineWith({ lines }: Command, pattern: RegExp): Promise<RegExpExecArray> {
  for (let next; !(next = await lines.next()).done;) {
    const match = pattern.exec(next.value);
    if (match) return match;
  }
  throw new UserError("a command ended early: its reason is above");
}

async function follow(
  { lines }: Command,
  say: (line: string) => void,
): Promise<{ seconds: number; done: DoneEvent }> {
  let seconds = 0;
  for (let next; !(next = await lines.next()).done;) {
    const event = RunEvent.parse(JSON.parse(next.value));
    if (event.event === "done") return { seconds, done: event };
    if (event.event !== "step") continue;
    seconds += event.seconds;
    say(`step ${event.step}: loss ${event.loss.toFixed(4)}, ${event.seconds.toFixed(2)} s`);
  }
  throw new UserError("the run ended early: its reason is above");
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill("SIGINT");
  await once(child, "exit");
}

async function chromiumVersion(): Promise<string> {
  const { browser } = await launchChromium();
  const version = `Chromium ${browser.version()}`;
  await browser.close();
  return version;
}
