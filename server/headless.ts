// Headless workers: one browser process each, with the worker page open. What a person does with a link.
import type { Page } from "playwright";
import { launchChromium, type HeadlessBrowser } from "./browser.ts";
import { EXIT, UserError } from "./errors.ts";

export interface WorkerOptions {
  /** Address of the server, without a path. */
  readonly server: string;
  readonly site: string;
  readonly token: string;
  readonly count: number;
}

export interface HeadlessWorkers {
  /** Resolves when the last of them has ended. */
  readonly ended: Promise<void>;
  close(): Promise<void>;
}

const JOIN_TIMEOUT_MS = 60_000;
const JOINED = ["idle", "loading", "tuning", "training"];

/**
 * Opens `count` workers and waits until each has joined.
 * @throws UserError when a page finds no GPU (exit code 3) or is refused (2)
 */
export async function openWorkers(options: WorkerOptions): Promise<HeadlessWorkers> {
  const opened: HeadlessBrowser[] = [];
  let closing = false;
  const close = async () => {
    closing = true;
    await Promise.all(opened.map(({ browser }) => browser.close()));
  };
  try {
    // One after the other: browsers that start together take longer than in turn, and join in a known order.
    for (let i = 0; i < options.count; i++) {
      const headless = await launchChromium();
      opened.push(headless);
      await joinSite(await headless.context.newPage(), options);
    }
  } catch (error) {
    await close();
    throw error;
  }
  const ended = Promise.all(
    opened.map(
      ({ browser }) =>
        new Promise<void>((resolve) => {
          const left = () => {
            if (!closing) console.error(`worker of site ${options.site}: its browser ended`);
            resolve();
          };
          // It may have gone while the others were opened.
          if (browser.isConnected()) browser.on("disconnected", left);
          else left();
        }),
    ),
  );
  return { ended: ended.then(() => {}), close };
}

export async function joinSite(page: Page, { server, site, token }: WorkerOptions): Promise<void> {
  page.on("console", (message) => {
    if (message.type() === "error") console.error(`worker of site ${site}: ${message.text()}`);
  });
  page.on("crash", () => {
    console.error(`worker of site ${site}: the page crashed`);
    void page.context().browser()?.close();
  });
  await page
    .goto(`${server}/worker?site=${encodeURIComponent(site)}#token=${encodeURIComponent(token)}`)
    .catch(() => {
      throw new UserError(
        `no server answers at ${server}: start it with 'tributary serve', or correct --server`,
        EXIT.failed,
      );
    });
  const settled = await page
    .waitForFunction(
      (joined) => {
        const { phase } = document.body.dataset;
        if (!phase || ![...joined, "unsupported", "refused"].includes(phase)) return null;
        return { phase, problem: document.querySelector("[role=alert]")?.textContent ?? "" };
      },
      JOINED,
      { timeout: JOIN_TIMEOUT_MS },
    )
    .catch(() => {
      throw new UserError(
        `worker of site ${site}: the page did not join in ${JOIN_TIMEOUT_MS / 1000} s`,
        EXIT.failed,
      );
    });
  const state = await settled.jsonValue();
  if (state && !JOINED.includes(state.phase)) {
    const exitCode = state.phase === "unsupported" ? EXIT.noGpu : EXIT.badInput;
    throw new UserError(`worker of site ${site}: ${state.problem}`, exitCode);
  }
}
