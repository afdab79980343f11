// serve, worker, run, status, stop: each its own process, as on separate machines; and nothing is left behind.
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { expect, onTestFinished, test } from "vitest";
import { RunEvent } from "../../core/protocol/events.ts";
import { tinyConfig } from "../fixtures/configs.ts";
import { configFile, dataFolder, scratchFolder, tributary } from "./command.ts";

const data = dataFolder();

/** Starts a command that stays, and waits until it has said what `pattern` matches. */
async function start(
  args: string[],
  pattern: RegExp,
): Promise<{ child: ChildProcess; match: RegExpExecArray }> {
  const child = spawn(process.execPath, ["server/bin.mjs", ...args], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  let output = "";
  for await (const chunk of child.stdout) {
    output += String(chunk);
    const match = pattern.exec(output);
    if (match) {
      child.stdout.resume();
      return { child, match };
    }
  }
  throw new Error(`'${args[0]}' ended: ${output}`);
}

async function interrupt(child: ChildProcess): Promise<number | null> {
  const exit = once(child, "exit") as Promise<[number | null]>;
  child.kill("SIGINT");
  return (await exit)[0];
}

test("a server, a worker and two runs, one followed to its end and one stopped", async () => {
  const links = /coordinator page: (\S+)\s+worker page:\s+(\S+)\n/;
  const { child: server, match } = await start(["serve", "--port", "0", "--data", data], links);
  const [, coordinatorLink, workerLink] = match as unknown as [string, string, string];
  // A link that was printed is all that the other commands need: it holds the token.
  const { child: worker } = await start(
    ["worker", "--server", workerLink, "--site", "a"],
    /1 worker joined site a/,
  );

  const folder = scratchFolder();
  const config = configFile(folder, tinyConfig({ steps: 4 }));
  const followed = await tributary(["run", config, "--server", coordinatorLink, "--json"]);
  expect(followed).toMatchObject({ code: 0, stderr: "" });
  const events = followed.stdout
    .trim()
    .split("\n")
    .map((line) => RunEvent.parse(JSON.parse(line)));
  const done = events.at(-1)!;
  expect(done).toMatchObject({ event: "done", steps: 4 });
  expect(events.filter(({ event }) => event === "step")).toHaveLength(4);
  const run = done.event === "done" ? done.run : "";
  const status = await tributary(["status", run, "--server", coordinatorLink]);
  expect(status.stdout).toMatch(new RegExp(`run ${run}: done, step 4 of 4, loss \\d`));

  const long = configFile(folder, tinyConfig({ name: "long", steps: 5000 }));
  const follower = tributary(["run", long, "--server", coordinatorLink, "--json"]);
  const { origin } = new URL(coordinatorLink);
  const token = new URLSearchParams(new URL(coordinatorLink).hash.slice(1)).get("token")!;
  const active = async () => {
    const response = await fetch(`${origin}/api/status`, { headers: { Authorization: `Bearer ${token}` } });
    return ((await response.json()) as { run: { id: string; step: number } }).run;
  };
  await expect
    .poll(async () => (await active()).id.startsWith("long-") && (await active()).step > 2, {
      timeout: 60_000,
    })
    .toBe(true);
  const { id } = await active();
  expect(await tributary(["stop", id, "--server", coordinatorLink])).toMatchObject({ code: 0 });
  const stopped = await follower;
  expect(stopped.code).toBe(1);
  expect(stopped.stdout.trim().split("\n").at(-1)).toMatch(/"event":"stopped"/);
  expect(await tributary(["stop", id, "--server", coordinatorLink])).toMatchObject({
    code: 2,
    stderr: expect.stringMatching(/is not active: no run is active/),
  });

  expect(await interrupt(worker)).toBe(130);
  expect(await interrupt(server)).toBe(130);
});
