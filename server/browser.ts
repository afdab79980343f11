// Finds and starts a Chromium.
import { existsSync, readdirSync } from "node:fs";
import { chromium, type Browser, type BrowserContext } from "playwright";
import { CHROMIUM_FLAGS, SOFTWARE_ADAPTER_FLAG } from "./chromium-flags.ts";
import { EXIT, UserError } from "./errors.ts";
import { isExecutable, programNamedBy, programOnPath } from "./programs.ts";

const NAMES = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/** Path of a usable Chromium: TRIBUTARY_CHROMIUM, one on the PATH, or Playwright's own; null when there is none. */
export function findBrowser(): string | null {
  const found = programNamedBy("TRIBUTARY_CHROMIUM") ?? programOnPath(NAMES);
  if (found) return found;
  const own = chromium.executablePath();
  return isExecutable(own) ? own : null;
}

/** @throws UserError that says what to install */
export function requireBrowser(): string {
  const found = findBrowser();
  if (found) return found;
  throw new UserError(
    "no Chromium was found: install one (Debian: apt install chromium; else: npx playwright install chromium) or set TRIBUTARY_CHROMIUM to its path",
    EXIT.noGpu,
  );
}

export interface HeadlessBrowser {
  readonly browser: Browser;
  /**
   * Accepts a self-signed certificate, and may use microphone and camera: without that permission Chromium
   * gathers no addresses for peer connections on a machine without a default route.
   */
  readonly context: BrowserContext;
}

/** `software`: on Chromium's own software adapter, by default where the machine shows no GPU. */
export async function launchChromium({ software = !hasGpu() } = {}): Promise<HeadlessBrowser> {
  const path = requireBrowser();
  const browser = await chromium
    .launch({
      executablePath: path,
      args: [...CHROMIUM_FLAGS, "--headless=new", ...(software ? [SOFTWARE_ADAPTER_FLAG] : [])],
      ignoreDefaultArgs: ["--headless"],
      // Ending is the caller's: a worker says goodbye before its browser goes.
      handleSIGINT: false,
      handleSIGTERM: false,
      handleSIGHUP: false,
    })
    .catch(() => {
      throw new UserError(
        `${path} does not start as a Chromium: set TRIBUTARY_CHROMIUM to one that does`,
        EXIT.noGpu,
      );
    });
  const context = await browser.newContext({
    ignoreHTTPSErrors: true,
    permissions: ["microphone", "camera"],
  });
  return { browser, context };
}

/** Whether the machine shows a GPU that Chromium could use: a render node, an NVIDIA device, or another system. */
export function hasGpu(): boolean {
  if (process.platform !== "linux") return true;
  const nodes = existsSync("/dev/dri") ? readdirSync("/dev/dri") : [];
  return nodes.some((node) => node.startsWith("renderD")) || existsSync("/dev/nvidia0");
}
