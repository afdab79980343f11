// Headless workers: one browser process each, with the worker page open. What a person does with a link.
import { openPage, type BrowserKind } from "./browsers.ts";
import { EXIT, UserError } from "./errors.ts";
import type { HeadlessPage, WebPage } from "./headless-page.ts";

export interface WorkerOptions {
  /** Address of the server, without a path. */
  readonly server: string;
  readonly site: string;
  readonly token: string;
  readonly count: number;
  readonly browser: BrowserKind;
  /** GFLOP/s that each is slowed to; null: as fast as it can be. */
  readonly pace: number | null;
}

export interface HeadlessWorkers {
  /** Resolves when the last of them has ended. */
  readonly ended: Promise<void>;
  close(): Promise<void>;
}

const JOIN_TIMEOUT_MS = 60_000;
const JOINED = ["idle", "loading", "tuning", "training"];
const SETTLED = [...JOINED, "unsupported", "refused"];

/** Waits in the page for its phase; null when it takes too long. */
const SETTLED_PHASE = `new Promise((resolve) => {
  const deadline = performance.now() + ${JOIN_TIMEOUT_MS};
  const look = () => {
    const { phase } = document.body.dataset;
    const problem = document.querySelector("[role=alert]")?.textContent ?? "";
    if (${JSON.stringify(SETTLED)}.includes(phase)) resolve({ phase, problem });
    else if (performance.now() > deadline) resolve(null);
    else setTimeout(look, 50);
  };
  look();
})`;

/**
 * Opens `count` workers and waits until each has joined.
 * @throws UserError when a page finds no GPU (exit code 3) or is refused (2)
 */
export async function openWorkers(options: WorkerOptions): Promise<HeadlessWorkers> {
  const opened: HeadlessPage[] = [];
  let closing = false;
  const close = async () => {
    closing = true;
    await Promise.all(opened.map((page) => page.close()));
  };
  const say = (text: string) => console.error(`worker of site ${options.site}: ${text}`);
  try {
    // One after the other: browsers that start together take longer than in turn, and join in a known order.
    for (let i = 0; i < options.count; i++) {
      const page = await openPage(options.browser, say);
      opened.push(page);
      await joinSite(page, options);
    }
  } catch (error) {
    await close();
    throw error;
  }
  const ended = opened.map(async (page) => {
    await page.ended;
    if (!closing) say("its browser ended");
  });
  return { ended: Promise.all(ended).then(() => {}), close };
}

export async function joinSite(
  page: WebPage,
  { server, site, token, pace }: Pick<WorkerOptions, "server" | "site" | "token" | "pace">,
): Promise<void> {
  const query = new URLSearchParams({ site, ...(pace !== null && { pace: String(pace) }) });
  await page.goto(`${server}/worker?${query}#token=${encodeURIComponent(token)}`).catch(() => {
    throw new UserError(
      `no server answers at ${server}: start it with 'tributary serve', or correct --server`,
      EXIT.failed,
    );
  });
  const state = await page.evaluate<{ phase: string; problem: string } | null>(SETTLED_PHASE).catch(() => {
    throw new UserError(`worker of site ${site}: its browser ended before it joined`, EXIT.failed);
  });
  if (!state) {
    throw new UserError(
      `worker of site ${site}: the page did not join in ${JOIN_TIMEOUT_MS / 1000} s`,
      EXIT.failed,
    );
  }
  if (!JOINED.includes(state.phase)) {
    const exitCode = state.phase === "unsupported" ? EXIT.noGpu : EXIT.badInput;
    throw new UserError(`worker of site ${site}: ${state.problem}`, exitCode);
  }
}
