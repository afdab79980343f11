// How far something long has come, on a terminal: standard error, so that results stay apart.

/** What takes less is done before anyone wonders. */
const PATIENCE_MS = 2000;
const EVERY_MS = 250;

/** Returns what to tell the share that is done, and what to call at the end. */
export function progressOf(what: string): { passed: (share: number) => void; end: () => void } {
  if (!process.stderr.isTTY) return { passed: () => {}, end: () => {} };
  let next = performance.now() + PATIENCE_MS;
  let shown = false;
  return {
    passed: (share) => {
      if (performance.now() < next) return;
      next = performance.now() + EVERY_MS;
      shown = true;
      process.stderr.write(`\r\x1b[K${what}: ${Math.floor(100 * share)} %`);
    },
    end: () => {
      if (shown) process.stderr.write("\r\x1b[K");
    },
  };
}
