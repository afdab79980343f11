// Builds the benchmark's page and serves it to one browser, which fetches the job and posts what comes of it.
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { getRequestListener } from "@hono/node-server";
import { serveStatic } from "@hono/node-server/serve-static";
import { Hono } from "hono";
import { build } from "vite";
import { EXIT, UserError } from "../../server/errors.ts";
import type { Job } from "./job.ts";
import { Report } from "./result.ts";

const SOURCES = "test/bench";
const BUILT = "dist/bench";

export interface Served {
  readonly url: string;
  /** What the page reports at its end. @throws UserError with the page's own words */
  readonly report: Promise<Report>;
  close(): void;
}

/** `say` takes each line of progress. The working directory is the repository's root. */
export async function serveJob(job: Job, say: (line: string) => void): Promise<Served> {
  await build({
    configFile: false,
    root: SOURCES,
    logLevel: "error",
    build: {
      outDir: `../../${BUILT}`,
      emptyOutDir: true,
      target: "es2023",
      chunkSizeWarningLimit: Infinity,
      rolldownOptions: { input: `${SOURCES}/page.html` },
    },
  });
  let settle: { resolve: (report: Report) => void; reject: (why: UserError) => void };
  const report = new Promise<Report>((resolve, reject) => (settle = { resolve, reject }));
  const app = new Hono();
  app.use(async (context, next) => {
    await next();
    // An isolated page has a finer clock.
    context.header("Cross-Origin-Opener-Policy", "same-origin");
    context.header("Cross-Origin-Embedder-Policy", "require-corp");
  });
  app.get("/job", (context) => context.json(job));
  app.post("/progress", async (context) => {
    say(await context.req.text());
    return context.body(null, 204);
  });
  app.post("/report", async (context) => {
    settle.resolve(Report.parse(await context.req.json()));
    return context.body(null, 204);
  });
  app.post("/problem", async (context) => {
    settle.reject(new UserError(await context.req.text(), EXIT.noGpu));
    return context.body(null, 204);
  });
  app.use(serveStatic({ root: BUILT }));
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
