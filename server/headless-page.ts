// A page in a headless browser of its own, whichever browser that is: chromium-page.ts, firefox-page.ts.

/** What is asked of a page. Playwright's pages do that too. */
export interface WebPage {
  /** Rejects when nothing answers at the address. */
  goto(url: string): Promise<unknown>;
  /** The value of a JavaScript expression, as JSON has it; of a promise, what it resolves with. */
  evaluate<T>(expression: string): Promise<T>;
}

export interface HeadlessPage extends WebPage {
  /** Of the browser, "Firefox 153.7". */
  readonly name: string;
  /** Resolves when the browser has ended, asked to or not. */
  readonly ended: Promise<void>;
  /** Ends the browser, after its pages have said goodbye. */
  close(): Promise<void>;
}
