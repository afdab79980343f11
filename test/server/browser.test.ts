// Where a browser is looked for, in which order, and what is said when there is none.
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, expect, onTestFinished, test, vi } from "vitest";
import { findBrowser, requireBrowser } from "../../server/browser.ts";
import { EXIT } from "../../server/errors.ts";
import { findFirefox, requireFirefox } from "../../server/firefox.ts";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "tributary-browser-"));
  onTestFinished(() => {
    vi.unstubAllEnvs();
    rmSync(folder, { recursive: true, force: true });
  });
  vi.stubEnv("PATH", folder);
  vi.stubEnv("TRIBUTARY_CHROMIUM", undefined);
  vi.stubEnv("PLAYWRIGHT_BROWSERS_PATH", folder);
});

function program(name: string, mode = 0o755): string {
  const path = join(folder, name);
  writeFileSync(path, "");
  chmodSync(path, mode);
  return path;
}

test("TRIBUTARY_CHROMIUM comes before the PATH", () => {
  const onPath = program("chromium");
  expect(findBrowser()).toBe(onPath);
  const chosen = program("my-browser");
  vi.stubEnv("TRIBUTARY_CHROMIUM", chosen);
  expect(findBrowser()).toBe(chosen);
});

test("any of the usual names is found on the PATH", () => {
  for (const name of ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"]) {
    const path = program(name);
    expect(findBrowser()).toBe(path);
    rmSync(path);
  }
});

test("a TRIBUTARY_CHROMIUM that is no program is named, not passed over", () => {
  program("chromium");
  for (const wrong of [join(folder, "missing"), program("not-executable", 0o644)]) {
    vi.stubEnv("TRIBUTARY_CHROMIUM", wrong);
    expect(findBrowser).toThrow(wrong);
  }
});

test("without any, it is said what to install", () => {
  expect(findBrowser()).toBe(null);
  expect(requireBrowser).toThrow(
    expect.objectContaining({
      name: "UserError",
      exitCode: EXIT.noGpu,
      message: expect.stringMatching(/apt install chromium.*npx playwright install chromium/),
    }),
  );
});

test("Firefox: TRIBUTARY_FIREFOX, then the PATH; without any, it is said what to install", () => {
  vi.stubEnv("TRIBUTARY_FIREFOX", undefined);
  expect(requireFirefox).toThrow(
    expect.objectContaining({
      exitCode: EXIT.noGpu,
      message: expect.stringMatching(/apt install firefox-esr/),
    }),
  );
  const onPath = program("firefox-esr");
  expect(findFirefox()).toBe(onPath);
  const chosen = program("my-firefox");
  vi.stubEnv("TRIBUTARY_FIREFOX", chosen);
  expect(findFirefox()).toBe(chosen);
});
