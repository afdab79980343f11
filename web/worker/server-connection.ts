// The page's control socket: what it says to the server, and hears from it.
// Not here: what is said (session.ts), frames to other workers (web/link).
import type { ClientMessage } from "../../core/protocol/control.ts";

export interface ConnectionHandlers {
  readonly onOpen: () => void;
  readonly onMessage: (text: string) => void;
  /** It was closed, or never opened, and not by `close`. */
  readonly onLost: () => void;
}

export class ServerConnection {
  readonly #handlers: ConnectionHandlers;
  #socket: WebSocket | null = null;

  constructor(handlers: ConnectionHandlers) {
    this.#handlers = handlers;
  }

  open(): void {
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const socket = new WebSocket(`${scheme}://${location.host}/control`);
    this.#socket = socket;
    socket.addEventListener("open", () => this.#handlers.onOpen());
    socket.addEventListener("message", ({ data }: MessageEvent<string>) => this.#handlers.onMessage(data));
    socket.addEventListener("close", () => {
      if (socket !== this.#socket) return;
      this.#socket = null;
      this.#handlers.onLost();
    });
  }

  /** Where there is no connection, it is said to nobody. */
  say(message: ClientMessage): void {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }

  close(code: number, reason: string): void {
    const socket = this.#socket;
    this.#socket = null;
    socket?.close(code, reason);
  }
}
