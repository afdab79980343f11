// Notices WebSockets whose other end is gone without a word: the network, the browser, a machine that sleeps.
// Not here: a page that hangs (watchdog.ts). Browsers answer pings whatever their pages do.
import type { WebSocket } from "ws";

const PING_MS = 5000;

/** Ends a connection whose other end has not answered two pings. */
export function watchLiveness(client: WebSocket): void {
  let unanswered = 0;
  client.on("pong", () => (unanswered = 0));
  const timer = setInterval(() => {
    if (unanswered++ >= 2) client.terminate();
    else client.ping();
  }, PING_MS);
  client.on("close", () => clearInterval(timer));
}
