// A headless Chromium with one page, driven by Playwright.
import { launchChromium } from "./browser.ts";
import type { HeadlessPage } from "./headless-page.ts";

/** @throws UserError when there is no Chromium, or it does not start */
export async function openChromiumPage(onProblem: (text: string) => void): Promise<HeadlessPage> {
  const { browser, context } = await launchChromium();
  const ended = new Promise<void>((resolve) => browser.once("disconnected", () => resolve()));
  const page = await context.newPage();
  page.on("console", (message) => {
    if (message.type() === "error") onProblem(message.text());
  });
  page.on("crash", () => {
    onProblem("the page crashed");
    void browser.close();
  });
  return {
    name: `Chromium ${browser.version()}`,
    ended,
    goto: (url) => page.goto(url),
    evaluate: (expression) => page.evaluate(expression),
    close: () => browser.close(),
  };
}
