// Builds a page that measures and serves it to one browser, which fetches the job and posts what comes of it.
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { relative, resolve } from "node:path";
import { getRequestListener } from "@hono/node-server";
import { serveStatic } from "@hono/node-server/serve-static";
import { Hono } from "hono";
import { build } from "vite";
import type { z } from "zod";
import { EXIT, UserError } from "../../server/errors.ts";

export interface Served<R> {
  readonly url: string;
  /** What the page reports at its end. @throws UserError with the page's own words */
  readonly report: Promise<R>;
  close(): void;
}

export interface Task<R> {
  /** Folder of its page.html. */
  readonly sources: string;
  /** What the page gets as its job, and files beside it, by their names. */
  readonly job: unknown;
  readonly files?: Readonly<Record<string, Uint8Array<ArrayBuffer>>>;
  readonly report: z.ZodType<R>;
  /** Takes each line of progress. */
  readonly say: (line: string) => void;
}

/** The working directory is the repository's root. */
export async function serveTask<R>(task: Task<R>): Promise<Served<R>> {
  const built = resolve(`dist/${task.sources}`);
  await build({
    configFile: false,
    root: task.sources,
    logLevel: "error",
    build: {
      outDir: built,
      emptyOutDir: true,
      target: "es2023",
      chunkSizeWarningLimit: Infinity,
      rolldownOptions: { input: `${task.sources}/page.html` },
    },
  });
  let settle: { resolve: (report: R) => void; reject: (why: UserError) => void };
  const report = new Promise<R>((resolve, reject) => (settle = { resolve, reject }));
  const app = new Hono();
  app.use(async (context, next) => {
    await next();
    // An isolated page has a finer clock.
    context.header("Cross-Origin-Opener-Policy", "same-origin");
    context.header("Cross-Origin-Embedder-Policy", "require-corp");
  });
  app.get("/job", (context) => context.json(task.job as object));
  for (const [name, bytes] of Object.entries(task.files ?? {})) {
    app.get(`/files/${name}`, (context) => context.body(bytes));
  }
  app.post("/progress", async (context) => {
    task.say(await context.req.text());
    return context.body(null, 204);
  });
  app.post("/report", async (context) => {
    settle.resolve(task.report.parse(await context.req.json()));
    return context.body(null, 204);
  });
  app.post("/problem", async (context) => {
    settle.reject(new UserError(await context.req.text(), EXIT.noGpu));
    return context.body(null, 204);
  });
  app.use(serveStatic({ root: relative(".", built) }));
  const server = createServer(getRequestListener(app.fetch));
  await new Promise<void>((resolve) => server.listen(0, "localhost", resolve));
  return {
    url: `http://localhost:${(server.address() as AddressInfo).port}/page.html`,
    report,
    close() {
      server.closeAllConnections();
      server.close();
    },
  };
}
