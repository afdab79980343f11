// tributary doctor: what this machine has, what is missing, and how to mend it.
import { statfs } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { CAC } from "cac";
import { findBrowser, hasGpu, launchChromium } from "../browser.ts";
import { EXIT, UserError } from "../errors.ts";

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
  const browser = tryToFind();
  yield browser;
  if (browser.ok) yield await examineWebGpu();
}

function tryToFind(): Finding {
  try {
    const path = findBrowser();
    if (path) return { what: "Chromium", ok: true, detail: path };
    return {
      what: "Chromium",
      ok: false,
      detail: "install one: apt install chromium, or npx playwright install chromium",
    };
  } catch (error) {
    if (error instanceof UserError) return { what: "Chromium", ok: false, detail: error.message };
    throw error;
  }
}

/** Asks a headless page on localhost for an adapter. */
async function examineWebGpu(): Promise<Finding> {
  const server = createServer((_request, response) => response.end("<!doctype html>"));
  await new Promise<void>((resolve) => server.listen(0, "localhost", resolve));
  const { browser, context } = await launchChromium();
  try {
    const page = await context.newPage();
    await page.goto(`http://localhost:${(server.address() as AddressInfo).port}/`);
    const adapter = await page.evaluate(async () => {
      const info = (await navigator.gpu?.requestAdapter())?.info;
      return info ? info.description || `${info.vendor} ${info.architecture}` : null;
    });
    const version = `Chromium ${browser.version()}`;
    if (adapter) return { what: "WebGPU", ok: true, detail: `${adapter} in ${version}` };
    return {
      what: "WebGPU",
      ok: false,
      detail: `${version} offers no adapter: update the graphics driver or the browser`,
    };
  } finally {
    await browser.close();
    server.close();
  }
}
