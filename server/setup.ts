// The second half of set-up, once npm packages are there: a browser if there is none, then the task itself.
import { spawn, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import { findBrowser } from "./browser.ts";

/** Runs one of the tasks that package.json's scripts name; ends the process with its exit code. */
export async function setUp(root: string, [task, ...rest]: string[]): Promise<void> {
  process.chdir(root);
  process.env.TRIBUTARY_CHROMIUM = ensureBrowser();
  if (task === "demo") {
    process.exitCode = await run(process.execPath, [
      "server/bin.mjs",
      "local",
      "core/model/demo.json",
      "--sites",
      "a:2,b:2",
      ...rest,
    ]);
  } else if (task === "test") {
    process.exitCode = await test(rest);
  } else if (task === "bench") {
    process.exitCode = await run(process.execPath, ["--import", "tsx", "test/bench/main.ts", ...rest]);
  } else {
    throw new Error(`unknown task '${task}'`);
  }
}

/** Path of a usable Chromium; installs one when there is none, or says what to install and exits with 3. */
function ensureBrowser(): string {
  const found = findBrowser();
  if (found) return found;
  const debianRoot = existsSync("/etc/debian_version") && process.getuid?.() === 0;
  console.error(
    debianRoot ? "installing Debian's chromium (once)" : "installing Playwright's Chromium (once)",
  );
  if (debianRoot) {
    spawnSync("apt-get", ["update", "-qq"], { stdio: ["ignore", 2, 2] });
    spawnSync("apt-get", ["install", "-y", "-qq", "chromium"], {
      stdio: ["ignore", "ignore", 2],
      env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" },
    });
  } else {
    spawnSync("npx", ["playwright", "install", "chromium"], { stdio: ["ignore", 2, 2] });
  }
  const installed = findBrowser();
  if (installed) return installed;
  console.error(
    "tributary: no Chromium could be installed; install one (Debian: apt install chromium; else: npx playwright install chromium) or set TRIBUTARY_CHROMIUM to its path",
  );
  process.exit(3);
}

function run(command: string, args: string[]): Promise<number> {
  return new Promise((resolve) => {
    const child = spawn(command, args, { stdio: "inherit" });
    child.on("exit", (code, signal) => resolve(code ?? (signal === "SIGINT" ? 130 : 1)));
  });
}

const CHECKS = [["tsc", "-p", "core"], ["tsc"], ["oxlint", "--deny-warnings"], ["prettier", "--check", "."]];

const TestReport = z.object({
  numPassedTests: z.number(),
  numFailedTests: z.number(),
  numPendingTests: z.number(),
  success: z.boolean(),
});

/** Type check, lint, format check and all tests; the last line counts them together. */
async function test(args: string[]): Promise<number> {
  const counts = { passed: 0, failed: 0, skipped: 0 };
  if (args.length === 0) {
    for (const check of CHECKS) {
      console.log(`> ${check.join(" ")}`);
      if ((await run("npx", ["--no-install", ...check])) === 0) counts.passed++;
      else counts.failed++;
    }
  }
  const folder = await mkdtemp(join(tmpdir(), "tributary-test-"));
  const file = join(folder, "report.json");
  const reporters = ["--reporter=default", "--reporter=json", `--outputFile.json=${file}`];
  const status = await run("npx", ["--no-install", "vitest", "run", ...reporters, ...args]);
  try {
    const report = TestReport.parse(JSON.parse(await readFile(file, "utf8")));
    counts.passed += report.numPassedTests;
    counts.failed += report.numFailedTests;
    counts.skipped += report.numPendingTests;
    // A file that fails to load, or an error between tests, fails the run without failing a test.
    if (status !== 0 && report.numFailedTests === 0) counts.failed++;
  } catch {
    counts.failed++;
  }
  await rm(folder, { recursive: true });
  const skipped = counts.skipped > 0 ? `, ${counts.skipped} skipped` : "";
  console.log(`${counts.passed} passed, ${counts.failed} failed${skipped}`);
  return counts.failed === 0 ? 0 : 1;
}
