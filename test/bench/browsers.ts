// Opens the benchmark's page in a browser. The page itself reports (page.ts); here only its start, end and failure.
import { execFileSync } from "node:child_process";
import { launchChromium } from "../../server/browser.ts";
import { EXIT, UserError } from "../../server/errors.ts";
import { findFirefox, launchFirefox } from "../../server/firefox.ts";

export interface OpenPage {
  /** Name and version. */
  readonly browser: string;
  /** Rejects when the page can report no more. */
  readonly broken: Promise<never>;
  close(): Promise<void>;
}

/** `gpu`: let Chromium choose its adapter, also where the machine shows no GPU. */
export async function openChromium(url: string, gpu: boolean): Promise<OpenPage> {
  const { browser, context } = await launchChromium(gpu ? { software: false } : {});
  const page = await context.newPage();
  const broken = new Promise<never>((_, reject) => {
    const fail = (why: string) => () => reject(new UserError(`Chromium: ${why}`, EXIT.failed));
    page.on("crash", fail("the page crashed"));
    browser.on("disconnected", fail("it ended before its report"));
  });
  await page.goto(url);
  return { browser: `Chromium ${browser.version()}`, broken, close: () => browser.close() };
}

export async function openFirefox(url: string): Promise<OpenPage> {
  const firefox = await launchFirefox(url);
  const broken = firefox.ended.then(() => {
    throw new UserError("Firefox ended before its report", EXIT.failed);
  });
  // "Mozilla Firefox 153.7.0esr"
  const version = execFileSync(findFirefox()!, ["--version"], { encoding: "utf8" }).trim();
  return { browser: version.replace(/^Mozilla /, ""), broken, close: () => firefox.close() };
}
