// The server: one port for pages, HTTP API, control socket, broker and relay; one data folder for what it keeps.
import { randomBytes } from "node:crypto";
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { createServer, type RequestListener, type Server } from "node:http";
import { createServer as createSecureServer } from "node:https";
import { isIPv6, type AddressInfo } from "node:net";
import { Readable } from "node:stream";
import { getRequestListener } from "@hono/node-server";
import { Hono, type Context, type Next } from "hono";
import { describeIssues, RunConfig } from "../core/model/config.ts";
import { Hash } from "../core/protocol/control.ts";
import { BlobMismatch, Blobs } from "./blobs.ts";
import { createBroker } from "./broker.ts";
import { Checkpoints } from "./checkpoints.ts";
import { ControlSocket, iceServersFromEnvironment } from "./control.ts";
import type { Coordinator } from "./coordinator-port.ts";
import { RunCoordinator } from "./coordinator.ts";
import { UserError } from "./errors.ts";
import { lockFolder } from "./folder-lock.ts";
import { log } from "./log.ts";
import { Metrics } from "./metrics.ts";
import { ensurePages, servePage } from "./pages.ts";
import { Relay } from "./relay.ts";
import { Store } from "./store.ts";
import { openCertificate } from "./tls.ts";
import { Tokens, type Role } from "./tokens.ts";

export interface ServerOptions {
  /** 0 takes any free port. */
  readonly port: number;
  readonly host: string;
  /** Folder for everything that is kept. */
  readonly data: string;
  readonly tls: boolean;
  /** To go on with the run that the server was in when it ended; else that one counts as stopped. */
  readonly goesOn?: boolean;
}

export interface RunningServer {
  /** Without a path: http://localhost:8787 */
  readonly url: string;
  readonly tokens: Tokens;
  readonly coordinator: Coordinator;
  /** What a GPU machine needs to trust a self-signed certificate; null without TLS. */
  readonly certificate: { readonly pem: string; readonly spki: string } | null;
  close(): Promise<void>;
}

/** @throws UserError when the port or the folder is taken */
export async function startServer(options: ServerOptions): Promise<RunningServer> {
  const unlock = await lockFolder(options.data);
  try {
    return await startLocked(options, unlock);
  } catch (error) {
    await unlock();
    throw error;
  }
}

async function startLocked(options: ServerOptions, unlock: () => Promise<void>): Promise<RunningServer> {
  const certificate = options.tls ? await openCertificate(options.data) : null;
  const server = certificate
    ? createSecureServer({ key: certificate.key, cert: certificate.pem })
    : createServer();
  let respond: RequestListener = (_request, response) =>
    response.writeHead(503).end("the server is starting");
  server.on("request", (request, response) => respond(request, response));
  // Before anything slow: a port that is taken is said at once.
  await listen(server, options);
  try {
    const blobs = new Blobs(options.data);
    const [tokens, store] = await Promise.all([
      Tokens.open(options.data),
      Store.open(options.data),
      blobs.clearDrafts(),
      ensurePages(),
    ]);
    const checkpoints = new Checkpoints(options.data, blobs);
    const coordinator = new RunCoordinator({ store, blobs, checkpoints });
    await (options.goesOn ? coordinator.goOn() : store.stopUnfinished());
    const metrics = new Metrics(() => coordinator.snapshot());
    const brokerKey = randomBytes(12).toString("hex");
    const broker = createBroker({ key: brokerKey });
    const relay = new Relay((worker, other) => coordinator.linked(worker, other));
    const iceServers = iceServersFromEnvironment();
    const control = new ControlSocket({ coordinator, tokens, metrics, relay, brokerKey, iceServers });
    const app = createApp({
      coordinator,
      store,
      blobs,
      tokens,
      metrics,
      certificate: certificate?.pem ?? null,
    });

    respond = getRequestListener(app.fetch);
    server.on("upgrade", (request, socket, head) => {
      if (request.url?.split("?", 1)[0] === "/control") control.handleUpgrade(request, socket, head);
      else if (![broker, relay].some((part) => part.handleUpgrade(request, socket, head))) socket.destroy();
    });
    const { port } = server.address() as AddressInfo;
    return {
      url: `${certificate ? "https" : "http"}://${hostInUrl(options.host)}:${port}`,
      tokens,
      coordinator,
      certificate,
      async close() {
        coordinator.close();
        control.close();
        broker.close();
        relay.close();
        server.closeAllConnections();
        await new Promise((resolve) => server.close(resolve));
        await store.close();
        await unlock();
      },
    };
  } catch (error) {
    server.close();
    throw error;
  }
}

function hostInUrl(host: string): string {
  if (host === "0.0.0.0" || host === "::") return "localhost";
  return isIPv6(host) ? `[${host}]` : host;
}

function listen(server: Server, { port, host }: ServerOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "EADDRINUSE")
        reject(new UserError(`port ${port} is in use: choose another with --port`));
      else if (error.code === "EACCES")
        reject(new UserError(`port ${port} needs more rights: choose one above 1023 with --port`));
      else if (["ENOTFOUND", "EAI_AGAIN", "EADDRNOTAVAIL"].includes(error.code ?? ""))
        reject(new UserError(`'${host}' is no address of this machine: correct --host, or leave it out`));
      else reject(error);
    });
    server.listen(port, host, resolve);
  });
}

interface AppParts {
  readonly coordinator: Coordinator;
  readonly store: Store;
  readonly blobs: Blobs;
  readonly tokens: Tokens;
  readonly metrics: Metrics;
  readonly certificate: string | null;
}

/** The HTTP routes. */
export function createApp({ coordinator, store, blobs, tokens, metrics, certificate }: AppParts): Hono {
  const app = new Hono();
  const roleOf = (context: Context) =>
    tokens.roleOf(context.req.header("Authorization")?.replace(/^Bearer /, ""));
  const allow =
    (...roles: Role[]) =>
    async (context: Context, next: Next) => {
      const role = roleOf(context);
      if (role && roles.includes(role)) return next();
      return context.json(
        { error: `wrong ${roles[0]} token: use the one that 'tributary serve' printed` },
        401,
      );
    };
  const checkRunId = async (context: Context, next: Next) => {
    const id = context.req.param("id") ?? "";
    if (/^[\w-]+$/.test(id)) return next();
    return context.json({ error: "a run's id has only letters, digits, '-' and '_'" }, 400);
  };
  const owner = allow("owner");
  const member = allow("worker", "owner");

  app.onError((error, context) => {
    if (error instanceof UserError || error instanceof BlobMismatch)
      return context.json({ error: error.message }, 400);
    log.error({ error }, "a request failed");
    return context.json({ error: "the server failed; its log has the reason" }, 500);
  });

  app.use("/api/runs/:id/*", owner, checkRunId);
  app.get("/api/runs/:id", owner, checkRunId);

  app.get("/api/status", owner, (context) => {
    const { workers, run } = coordinator.snapshot();
    return context.json({ workers, run, workerToken: tokens.worker });
  });
  app.get("/api/runs", owner, async (context) => context.json(await store.runs()));
  app.get("/api/runs/:id", owner, async (context) => {
    const run = await store.run(context.req.param("id")!);
    if (!run) return context.json({ error: `there is no run ${context.req.param("id")}` }, 404);
    return context.json({ ...run, events: await store.events(run.id) });
  });
  app.post("/api/runs", owner, async (context) => {
    const config = RunConfig.safeParse(await context.req.json().catch(() => null));
    if (!config.success) {
      const issues = describeIssues(config.error);
      return context.json({ error: issues[0], issues }, 400);
    }
    return context.json({ run: await coordinator.start(config.data) }, 201);
  });
  for (const wish of ["stop", "pause", "resume"] as const) {
    app.post(`/api/runs/:id/${wish}`, owner, async (context) => {
      const id = context.req.param("id")!;
      await coordinator[wish](id);
      return context.json({ run: id });
    });
  }
  app.get("/api/runs/:id/files/:name", owner, async (context) => {
    const { id, name } = context.req.param();
    const file = await coordinator.exportFile(id, name);
    if (!file) return context.json({ error: `run ${id} has no file ${name}` }, 404);
    return context.body(new Uint8Array(file), 200, {
      "Content-Disposition": `attachment; filename="${name}"`,
    });
  });

  app.use("/api/blobs/:hash", member, async (context, next) => {
    if (Hash.safeParse(context.req.param("hash")).success) {
      await next();
      return;
    }
    return context.json({ error: "a blob's name is 64 hexadecimal digits" }, 400);
  });
  app.put("/api/blobs/:hash", async (context) => {
    const { body } = context.req.raw;
    if (!body) return context.json({ error: "the blob is missing: send it as the body" }, 400);
    await blobs.putStream(context.req.param("hash"), body);
    return context.json({}, 201);
  });
  app.get("/api/blobs/:hash", async (context) => {
    const path = blobs.path(context.req.param("hash"));
    const file = await stat(path).catch(() => null);
    if (!file) return context.json({ error: "there is no such blob" }, 404);
    const stream = Readable.toWeb(createReadStream(path)) as ReadableStream;
    return context.body(stream, 200, {
      "Content-Type": "application/octet-stream",
      "Content-Length": String(file.size),
    });
  });

  app.get("/metrics", async (context) => context.text(await metrics.registry.metrics()));
  app.get("/certificate.pem", (context) =>
    certificate ? context.text(certificate) : context.json({ error: "this server has no certificate" }, 404),
  );
  app.get("*", servePage);
  return app;
}
