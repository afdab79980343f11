// The browsers that headless workers run in.
import { requireBrowser } from "./browser.ts";
import { openChromiumPage } from "./chromium-page.ts";
import { openFirefoxPage } from "./firefox-page.ts";
import { requireFirefox } from "./firefox.ts";
import type { HeadlessPage } from "./headless-page.ts";

export const BROWSERS = ["chromium", "firefox"] as const;
export type BrowserKind = (typeof BROWSERS)[number];

/** @throws UserError that says what to install when it is not there */
export function requireKind(kind: BrowserKind): string {
  return kind === "firefox" ? requireFirefox() : requireBrowser();
}

/**
 * Opens an empty page. `onProblem` hears what goes wrong in it.
 * @throws UserError when there is no such browser, or it does not start
 */
export function openPage(kind: BrowserKind, onProblem: (text: string) => void): Promise<HeadlessPage> {
  return kind === "firefox" ? openFirefoxPage(onProblem) : openChromiumPage(onProblem);
}
