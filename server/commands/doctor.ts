// tributary doctor: what this machine has, what is missing, and how to mend it.
import { statfs } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { CAC } from "cac";
import { findBrowser, hasGpu } from "../browser.ts";
import { openPage, type BrowserKind } from "../browsers.ts";
import { EXIT, UserError } from "../errors.ts";
import { findFirefox } from "../firefox.ts";
import { interrupted } from "../interrupt.ts";

interface Finding {
  readonly what: string;
  readonly ok: boolean;
  readonly detail: string;
}

const MIN_FREE_BYTES = 2e9;

export function register(cli: CAC): void {
  cli
    .command("doctor", "Say what this machine has, what is missing and how to mend it")
    .option("--json", "Print one JSON object a line")
    .action(doctor);
}

async function doctor({ json = false }: { json?: boolean }): Promise<number> {
  // Ends a browser that it has open as well.
  void interrupted().then(() => process.exit(EXIT.interrupted));
  let healthy = true;
  for await (const finding of examine()) {
    healthy &&= finding.ok;
    if (json) console.log(JSON.stringify(finding));
    else console.log(`${finding.ok ? "ok     " : "missing"}  ${finding.what}: ${finding.detail}`);
  }
  return healthy ? EXIT.done : EXIT.noGpu;
}

async function* examine(): AsyncGenerator<Finding> {
  yield { what: "Node", ok: true, detail: process.versions.node };
  const { bavail, bsize } = await statfs(".");
  const free = bavail * bsize;
  yield {
    what: "disk",
    ok: free > MIN_FREE_BYTES,
    detail: `${(free / 1e9).toFixed(1)} GB free${free > MIN_FREE_BYTES ? "" : "; checkpoints need room: free some, or use --data"}`,
  };
  yield {
    what: "GPU",
    ok: true,
    detail: hasGpu() ? "found" : "none: browsers will compute on the CPU, slowly",
  };
  const chromium = look("Chromium", findBrowser, {
    ok: false,
    detail: "install one: apt install chromium, or npx playwright install chromium",
  });
  yield chromium.finding;
  if (chromium.found) yield await examineWebGpu("chromium", "update the graphics driver or the browser");
  const firefox = look("Firefox", findFirefox, {
    ok: true,
    detail: "none; only workers with --browser firefox need it (Debian: apt install firefox-esr)",
  });
  yield firefox.finding;
  if (firefox.found) {
    yield await examineWebGpu(
      "firefox",
      "it needs a Vulkan driver (Debian: apt install mesa-vulkan-drivers), and version 141 or later",
    );
  }
}

function look(
  what: string,
  find: () => string | null,
  missing: Omit<Finding, "what">,
): { finding: Finding; found: boolean } {
  try {
    const path = find();
    const finding = { what, ...(path ? { ok: true, detail: path } : missing) };
    return { finding, found: path !== null };
  } catch (error) {
    if (error instanceof UserError)
      return { finding: { what, ok: false, detail: error.message }, found: false };
    throw error;
  }
}

/** Asks a headless page on localhost for an adapter. `remedy`: what to do when there is none. */
async function examineWebGpu(kind: BrowserKind, remedy: string): Promise<Finding> {
  const server = createServer((_request, response) => {
    response.setHeader("Content-Type", "text/html").end("<!doctype html>");
  });
  await new Promise<void>((resolve) => server.listen(0, "localhost", resolve));
  const page = await openPage(kind, () => {});
  try {
    await page.goto(`http://localhost:${(server.address() as AddressInfo).port}/`);
    const adapter = await page.evaluate<string | null>(ADAPTER);
    const what = `WebGPU in ${page.name}`;
    if (adapter !== null) return { what, ok: true, detail: adapter || "an adapter without a name" };
    return { what, ok: false, detail: `no adapter: ${remedy}` };
  } finally {
    await page.close();
    server.close();
  }
}

/** What describes the adapter, empty where the browser does not tell; null when there is none. */
const ADAPTER = `navigator.gpu?.requestAdapter().then((adapter) => {
  if (!adapter) return null;
  const { description, vendor, architecture } = adapter.info;
  return description || [vendor, architecture].filter(Boolean).join(" ");
}) ?? null`;
