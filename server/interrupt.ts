// Ctrl-C and the polite ways to end a process, as something commands can wait for.

/** Resolves at the first SIGINT, SIGTERM or SIGHUP; a second one ends the process at once. */
export function interrupted(): Promise<void> {
  return new Promise((resolve) => {
    let asked = false;
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
      process.on(signal, () => {
        if (asked) process.exit(130);
        asked = true;
        resolve();
      });
    }
  });
}
