// `npm run bench`: measures where it is told to and prints the tables; keeps the result in docs/benchmarks and draws
// up docs/benchmarks.md again from all results there, or keeps it where --out says. Progress goes to stderr.
// `pack` and `precision` are commands of their own (pack.ts, ../precision).
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { format } from "prettier";
import { z } from "zod";
import { EXIT, UserError } from "../../server/errors.ts";
import { interrupted } from "../../server/interrupt.ts";
import { openChromium, openFirefox } from "./browsers.ts";
import { runOnDawn } from "./dawn.ts";
import { describeMachine } from "./machine.ts";
import { renderBenchmarks, renderResult } from "./markdown.ts";
import { benchLink } from "./link/drive.ts";
import { renderLinkResult } from "./link/markdown.ts";
import { type LinkOptions, parseLinkOptions } from "./link/options.ts";
import { LinkResult } from "./link/result.ts";
import { comparePrecisions } from "../precision/command.ts";
import { measurePlanner, PlanResult, renderPlanResult } from "./plan/measure.ts";
import { parsePlanOptions, type PlanBenchOptions } from "./plan/options.ts";
import { measurePaced } from "./paced/measure.ts";
import { parsePacedOptions, type PacedOptions } from "./paced/options.ts";
import { PacedResult, renderPaced, SlowedResult } from "./paced/result.ts";
import { measureWan } from "./wan/measure.ts";
import { parseWanOptions, type WanOptions } from "./wan/options.ts";
import { renderWanResult, WanResult } from "./wan/result.ts";
import { parseBenchOptions, type BenchOptions } from "./options.ts";
import { pack, packFolder } from "./pack.ts";
import { contenderVersions, packageVersion } from "./packages.ts";
import { Report, Result } from "./result.ts";
import { serveTask } from "./serve.ts";

const FOLDER = "docs/benchmarks";
const PAGE = "docs/benchmarks.md";

try {
  const words = process.argv.slice(2);
  if (words[0] === "pack") await pack(packFolder(words.slice(1)));
  else if (words[0] === "link") await benchLinks(parseLinkOptions(words.slice(1)));
  else if (words[0] === "precision") await comparePrecisions(words.slice(1));
  else if (words[0] === "paced") await benchPaced(parsePacedOptions(words.slice(1)));
  else if (words[0] === "wan") await benchWan(parseWanOptions(words.slice(1)));
  else if (words[0] === "plan") await benchPlanner(parsePlanOptions(words.slice(1)));
  else await bench(parseBenchOptions(words));
  process.exit(EXIT.done);
} catch (error) {
  if (!(error instanceof UserError)) throw error;
  console.error(`bench: ${error.message}`);
  process.exit(error.exitCode);
}

async function bench(options: BenchOptions): Promise<void> {
  const { job, place, out } = options;
  const { runtime, report } = place === "node" ? await inNode(options) : await inBrowser(options);
  const result: Result = {
    command: job.command,
    runtime,
    ...describeMachine(),
    packages: await contenderVersions(job.contenders),
    ...report,
  };
  const what = job.command === "step" && job.model !== "small" ? `step-${job.model}` : job.command;
  await keep(result, `${what}-${place}-${slug(report.adapter)}`, out);
  console.log(await format(renderResult(result), { parser: "markdown" }));
}

async function benchLinks(options: LinkOptions): Promise<void> {
  const result = await benchLink(options, say);
  const where = result.network ? slug(Object.values(result.network).join("-")) : "loopback";
  await keep(result, `link-${where}`, options.out);
  console.log(await format(renderLinkResult(result), { parser: "markdown" }));
}

async function benchPlanner({ rounds, out }: PlanBenchOptions): Promise<void> {
  const result = measurePlanner(rounds, say);
  await keep(result, "plan", out);
  console.log(await format(renderPlanResult(result), { parser: "markdown" }));
}

async function benchWan(options: WanOptions): Promise<void> {
  const result = await measureWan(options, say);
  await keep(result, `wan-${slug(Object.values(result.network).join("-"))}`, options.out);
  console.log(await format(renderWanResult(result), { parser: "markdown" }));
}

async function benchPaced({ steps, parts, out }: PacedOptions): Promise<void> {
  for (const part of parts) {
    const result = await measurePaced(part, steps, say);
    const name = `paced-${part}`;
    await keep(result, name, out && join(out, `${name}.json`));
    const shown = result.command === "paced" ? renderPaced([result], []) : renderPaced([], [result]);
    console.log(await format(shown, { parser: "markdown" }));
  }
}

async function keep(
  result: Result | LinkResult | PlanResult | PacedResult | SlowedResult | WanResult,
  name: string,
  out: string | null,
): Promise<void> {
  await write(out ?? join(FOLDER, `${name}.json`), JSON.stringify(result), "json");
  if (out) return;
  const { ofGpu, others } = await allResults();
  await write(PAGE, [renderBenchmarks(ofGpu), ...others].join("\n\n"), "markdown");
}

async function inNode({ job }: BenchOptions): Promise<{ runtime: string; report: Report }> {
  const report = await runOnDawn(job, say);
  return { runtime: `Dawn for Node ${await packageVersion("node_modules/webgpu")}`, report };
}

async function inBrowser({ job, place, gpu }: BenchOptions): Promise<{ runtime: string; report: Report }> {
  const served = await serveTask({ sources: "test/bench", job, report: Report, say });
  try {
    const page = await (place === "firefox" ? openFirefox(served.url) : openChromium(served.url, gpu));
    try {
      const ending = interrupted().then(() => {
        throw new UserError("interrupted", EXIT.interrupted);
      });
      return { runtime: page.browser, report: await Promise.race([served.report, page.broken, ending]) };
    } finally {
      await page.close();
    }
  } finally {
    served.close();
  }
}

function say(line: string): void {
  console.error(line);
}

/** Kernels before steps, and by place and adapter, as the files are named. */
async function allResults(): Promise<{ ofGpu: Result[]; others: string[] }> {
  const names = (await readdir(FOLDER)).filter((name) => name.endsWith(".json")).sort();
  const texts = await Promise.all(names.map((name) => readFile(join(FOLDER, name), "utf8")));
  const AnyResult = z.union([Result, LinkResult, PlanResult, PacedResult, SlowedResult, WanResult]);
  const all = { ofGpu: [] as Result[], others: [] as string[] };
  const [paced, slowed]: [PacedResult[], SlowedResult[]] = [[], []];
  for (const text of texts) {
    const result = AnyResult.parse(JSON.parse(text));
    if (result.command === "link") all.others.push(renderLinkResult(result));
    else if (result.command === "plan") all.others.push(renderPlanResult(result));
    else if (result.command === "paced") paced.push(result);
    else if (result.command === "slowed") slowed.push(result);
    else if (result.command === "wan") all.others.push(renderWanResult(result));
    else all.ofGpu.push(result);
  }
  if (paced.length + slowed.length > 0) all.others.push(renderPaced(paced, slowed));
  return all;
}

async function write(file: string, text: string, parser: "json" | "markdown"): Promise<void> {
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, await format(text, { parser, printWidth: 110 }));
}

/** For a file's name. */
function slug(text: string): string {
  return text
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "-")
    .replace(/^-|-$/g, "");
}
