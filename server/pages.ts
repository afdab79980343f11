// Serves the built pages. In a clone they are built when they are missing or older than their sources.
import { existsSync } from "node:fs";
import { readdir, readFile, rename, rm, stat } from "node:fs/promises";
import { dirname, extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Context } from "hono";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const built = join(root, "dist", "web");
const SOURCES = ["web", "shaders", "core"];

const PAGES: Record<string, string> = { "/": "index.html", "/worker": "worker.html", "/model": "model.html" };
const TYPES: Record<string, string> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".svg": "image/svg+xml",
};

/** Builds the pages if need be. An installed package ships them and has no sources. */
export async function ensurePages(): Promise<void> {
  if (!existsSync(join(root, "web"))) return;
  const page = await stat(join(built, "index.html")).catch(() => null);
  if (page && page.mtimeMs >= (await newestSource())) return;
  const { build } = await import("vite");
  // Built beside, then moved: a build that fails leaves the pages there were.
  const draft = `${built}.${process.pid}`;
  await build({
    configFile: join(root, "vite.config.ts"),
    root: join(root, "web"),
    build: { outDir: draft },
    logLevel: "error",
  });
  await rm(built, { recursive: true, force: true });
  // When another process was first, its pages are as good.
  await rename(draft, built).catch(() => rm(draft, { recursive: true }));
}

async function newestSource(): Promise<number> {
  const times = SOURCES.map(async (folder) => {
    const entries = await readdir(join(root, folder), { recursive: true, withFileTypes: true }).catch(
      () => [],
    );
    const files = entries.filter((entry) => entry.isFile());
    return Promise.all(files.map(async (file) => (await stat(join(file.parentPath, file.name))).mtimeMs));
  });
  return Math.max(0, ...(await Promise.all(times)).flat());
}

/** A page or one of its assets; 404 for anything else. */
export async function servePage(context: Context): Promise<Response> {
  const file = PAGES[context.req.path] ?? assetName(context.req.path);
  const content = file && (await readFile(join(built, file)).catch(() => null));
  if (!content) return context.json({ error: `there is no page ${context.req.path}` }, 404);
  return context.body(new Uint8Array(content), 200, {
    "Content-Type": TYPES[extname(file)] ?? "application/octet-stream",
    // Assets carry a hash of their content in their names; pages do not.
    "Cache-Control": extname(file) === ".html" ? "no-cache" : "public, max-age=31536000, immutable",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
  });
}

/** "assets/NAME" of "/assets/NAME"; null for any other path. */
function assetName(path: string): string | null {
  return /^\/assets\/[\w.-]+$/.test(path) ? path.slice(1) : null;
}
