// Drives a browser by WebDriver BiDi, W3C's protocol over a WebSocket: commands with answers, and events.
// Not here: starting the browser, and what its pages are told (firefox-page.ts).
import { WebSocket } from "ws";
import { z } from "zod";

const Message = z.union([
  z.looseObject({ type: z.literal("success"), id: z.number(), result: z.unknown() }),
  z.looseObject({
    type: z.literal("error"),
    id: z.number().nullable(),
    error: z.string(),
    message: z.string(),
  }),
  z.looseObject({ type: z.literal("event"), method: z.string(), params: z.unknown() }),
]);

/** The browser refused a command, or is gone. */
export class BidiError extends Error {
  override name = "BidiError";
}

interface Waiting {
  resolve(result: unknown): void;
  reject(error: Error): void;
}

export class BidiConnection {
  onEvent: (method: string, params: unknown) => void = () => {};
  readonly #socket: WebSocket;
  readonly #waiting = new Map<number, Waiting>();
  #commands = 0;

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.on("message", (data) => this.#take(String(data)));
    socket.on("close", () => {
      for (const { reject } of this.#waiting.values()) reject(new BidiError("the browser is gone"));
      this.#waiting.clear();
    });
  }

  /** Begins the only session that the browser at `address` (ws://host:port) takes. @throws BidiError */
  static async open(address: string, capabilities: object): Promise<BidiConnection> {
    const socket = new WebSocket(`${address}/session`);
    await new Promise<void>((resolve, reject) => {
      socket.once("open", resolve);
      // A connection that is lost later closes as well.
      socket.on("error", ({ message }) => reject(new BidiError(message)));
    });
    const connection = new BidiConnection(socket);
    await connection.command("session.new", z.unknown(), { capabilities: { alwaysMatch: capabilities } });
    return connection;
  }

  /** @throws BidiError when the browser refuses or is gone; ZodError when its answer is not as `answer` says */
  async command<T>(method: string, answer: z.ZodType<T>, params: object): Promise<T> {
    if (this.#socket.readyState !== WebSocket.OPEN) throw new BidiError("the browser is gone");
    const id = ++this.#commands;
    const result = new Promise<unknown>((resolve, reject) => this.#waiting.set(id, { resolve, reject }));
    this.#socket.send(JSON.stringify({ id, method, params }));
    return answer.parse(await result);
  }

  #take(data: string): void {
    const message = Message.parse(JSON.parse(data));
    if (message.type === "event") return this.onEvent(message.method, message.params);
    const waiting = this.#waiting.get(message.id ?? 0);
    this.#waiting.delete(message.id ?? 0);
    if (message.type === "success") waiting?.resolve(message.result);
    else waiting?.reject(new BidiError(message.message));
  }
}
