// Runs the `tributary` command as a user would, and reads what it says.
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, onTestFinished } from "vitest";
import type { RunConfig } from "../../core/model/config.ts";
import { RunEvent } from "../../core/protocol/events.ts";

/**
 * GFLOP/s of workers that are to take part whatever the planner would rather: as fast as each other, however busy the
 * machine is, and slow enough that it can keep it.
 */
export const EVEN_PACE = 0.1;

export interface CommandResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs to its end. The environment is this process's, with `changes`. */
export function tributary(args: string[], changes: NodeJS.ProcessEnv = {}): Promise<CommandResult> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, ["server/bin.mjs", ...args], {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, ...changes },
    });
    const output = { stdout: "", stderr: "" };
    child.stdout.on("data", (data) => (output.stdout += String(data)));
    child.stderr.on("data", (data) => (output.stderr += String(data)));
    child.on("close", (code) => resolve({ code, ...output }));
  });
}

/** A folder that goes with the test. */
export function scratchFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "tributary-e2e-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** A data folder for all tests of a file: a fresh one costs seconds, its database is made at the first use. */
export function dataFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "tributary-e2e-data-"));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Writes the configuration and returns its path. */
export function configFile(folder: string, config: unknown): string {
  const path = join(folder, "run.json");
  writeFileSync(path, JSON.stringify(config));
  return path;
}

/** `tributary local --json`: every event it printed. */
export async function localRun(config: RunConfig, sites: string, data: string): Promise<RunEvent[]> {
  const { code, stdout, stderr } = await tributary([
    "local",
    configFile(scratchFolder(), config),
    "--sites",
    sites,
    "--data",
    data,
    "--json",
  ]);
  if (code !== 0) throw new Error(`exit code ${code}: ${stderr}\n${stdout}`);
  const lines = stdout.trim().split("\n");
  return lines.map((line) => RunEvent.parse(JSON.parse(line)));
}

export function eventsOf<K extends RunEvent["event"]>(events: readonly RunEvent[], kind: K) {
  return events.filter((event): event is Extract<RunEvent, { event: K }> => event.event === kind);
}
