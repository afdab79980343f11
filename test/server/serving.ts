// The HTTP routes, or the control socket, on a free port, before a coordinator that only takes notes.
// Not here: pages and the broker, which need no coordinator.
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { getRequestListener } from "@hono/node-server";
import type { RunConfig } from "../../core/model/config.ts";
import type { ClientMessage } from "../../core/protocol/control.ts";
import type { Snapshot } from "../../core/protocol/events.ts";
import { createApp } from "../../server/app.ts";
import { Blobs } from "../../server/blobs.ts";
import { ControlSocket } from "../../server/control.ts";
import type { Coordinator, CoordinatorUpdate, WorkerPort } from "../../server/coordinator-port.ts";
import { UserError } from "../../server/errors.ts";
import { Relay } from "../../server/relay.ts";
import { Metrics } from "../../server/metrics.ts";
import { Store } from "../../server/store.ts";
import { Tokens } from "../../server/tokens.ts";

/** Remembers what it was asked. Every run but "run-1" is unknown to it. */
export class NotingCoordinator implements Coordinator {
  readonly joined: WorkerPort[] = [];
  readonly left: string[] = [];
  /** Why, by worker. */
  readonly reasons = new Map<string, string>();
  readonly messages: { worker: string; message: ClientMessage }[] = [];
  readonly started: RunConfig[] = [];
  readonly wishes: string[] = [];
  view: Snapshot = { workers: [], run: null };
  readonly #listeners = new Set<(update: CoordinatorUpdate) => void>();

  tell(update: CoordinatorUpdate): void {
    for (const listener of this.#listeners) listener(update);
  }

  join(worker: WorkerPort): void {
    this.joined.push(worker);
  }

  leave(worker: string, reason: string): void {
    this.left.push(worker);
    this.reasons.set(worker, reason);
  }

  message(worker: string, message: ClientMessage): void {
    this.messages.push({ worker, message });
  }

  async start(config: RunConfig): Promise<string> {
    this.started.push(config);
    return "run-1";
  }

  async stop(run: string): Promise<void> {
    this.#wish("stop", run);
  }

  pause(run: string): void {
    this.#wish("pause", run);
  }

  resume(run: string): void {
    this.#wish("resume", run);
  }

  snapshot(): Snapshot {
    return this.view;
  }

  history() {
    return { run: null, events: [] };
  }

  subscribe(listener: (update: CoordinatorUpdate) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async exportFile(run: string, name: string): Promise<Uint8Array | null> {
    return run === "run-1" && name === "config.json" ? new TextEncoder().encode("{}") : null;
  }

  #wish(wish: string, run: string): void {
    if (run !== "run-1") throw new UserError(`run ${run} is not active`);
    this.wishes.push(wish);
  }
}

interface Served {
  /** http://localhost:PORT */
  readonly url: string;
  readonly coordinator: NotingCoordinator;
  readonly tokens: Tokens;
  close(): Promise<void>;
}

export interface ServedApp extends Served {
  readonly store: Store;
}

export interface ServedControl extends Served {
  /** Control messages refused so far: all, or of the type they claimed. */
  refusals(type?: string): Promise<number>;
}

/** The HTTP routes, with everything kept in `data`. Opening the database takes seconds. */
export async function serveApp(data: string): Promise<ServedApp> {
  const coordinator = new NotingCoordinator();
  const [tokens, store] = await Promise.all([Tokens.open(data), Store.open(data)]);
  const metrics = new Metrics(() => coordinator.snapshot());
  const blobs = new Blobs(data);
  const app = createApp({ coordinator, store, blobs, tokens, metrics, certificate: null });
  const server = createServer(getRequestListener(app.fetch));
  return {
    url: await listen(server),
    coordinator,
    tokens,
    store,
    async close() {
      await end(server);
      await store.close();
    },
  };
}

/** The control socket, with its tokens in `data`. */
export async function serveControl(data: string): Promise<ServedControl> {
  const coordinator = new NotingCoordinator();
  const tokens = await Tokens.open(data);
  const metrics = new Metrics(() => coordinator.snapshot());
  const control = new ControlSocket({
    coordinator,
    tokens,
    metrics,
    relay: new Relay(() => true),
    brokerKey: "key",
    iceServers: [],
  });
  const server = createServer();
  server.on("upgrade", (request, socket, head) => control.handleUpgrade(request, socket, head));
  return {
    url: await listen(server),
    coordinator,
    tokens,
    refusals: async (type) => {
      const { values } = await metrics.refused.get();
      const counted = values.filter(({ labels }) => type === undefined || labels.type === type);
      return counted.reduce((sum, { value }) => sum + value, 0);
    },
    async close() {
      control.close();
      await end(server);
    },
  };
}

async function listen(server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, "localhost", resolve));
  return `http://localhost:${(server.address() as AddressInfo).port}`;
}

async function end(server: Server): Promise<void> {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
}
