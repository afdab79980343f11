// Opens the two pages, each in a browser of its own, connects them in every way, and has them transfer in turns.
import { spawn, type ChildProcess } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { chromium, type Browser, type Page } from "playwright";
import { z } from "zod";
import { requireBrowser } from "../../../server/browser.ts";
import { CHROMIUM_FLAGS } from "../../../server/chromium-flags.ts";
import { EXIT, UserError } from "../../../server/errors.ts";
import { interrupted } from "../../../server/interrupt.ts";
import { describeMachine } from "../machine.ts";
import { emulate, loopback, type Place } from "../emulator.ts";
import type { LinkOptions } from "./options.ts";
import type { LinkResult } from "./result.ts";
import { SIDES } from "./sides.ts";

const BYTES = 16 * 1024 * 1024;
/** The link looks for the number of lanes during these. */
const FIRST_ROUNDS = 2;

const Host = z.object({ port: z.number(), broker: z.string(), relay: z.record(z.string(), z.string()) });

export async function benchLink(options: LinkOptions, say: (line: string) => void): Promise<LinkResult> {
  const places = options.network ? emulate(options.network) : loopback();
  const folder = mkdtempSync(join(tmpdir(), "tributary-link-"));
  const ends: (() => unknown)[] = [
    () => places.close(),
    () => rmSync(folder, { recursive: true, force: true }),
  ];
  try {
    const host = startHost(places.server);
    ends.push(() => host.kill());
    const { port, ...keys } = Host.parse(JSON.parse(await firstLine(host)));
    const origin = `http://${places.server.address}:${port}`;
    const browsers = await Promise.all(
      places.pages.map((place, i) => launch(place, join(folder, `${i}.sh`), origin)),
    );
    ends.push(() => Promise.all(browsers.map((browser) => browser.close())));
    const [a, b] = (await Promise.all(browsers.map((browser) => openPage(browser, origin, say)))) as [
      Page,
      Page,
    ];
    await Promise.all(
      [a, b].map((page, i) =>
        page.evaluate(([id, keys]) => window.bench.start(id, keys), [
          SIDES[i]!,
          { broker: keys.broker, relay: keys.relay[SIDES[i]!]! },
        ] as const),
      ),
    );
    await connect(a, b);
    const ending = interrupted().then(() => {
      throw new UserError("interrupted", EXIT.interrupted);
    });
    return {
      command: "link",
      runtime: `Chromium ${browsers[0]!.version()}`,
      ...describeMachine(),
      network: options.network,
      bytes: BYTES,
      rows: await Promise.race([transfers(a, options, say), ending]),
    };
  } finally {
    for (const end of ends.toReversed()) await end();
  }
}

async function transfers(
  page: Page,
  { ways, rounds }: LinkOptions,
  say: (line: string) => void,
): Promise<LinkResult["rows"]> {
  const rows = ways.map((way) => ({
    way,
    first: [] as number[],
    seconds: [] as number[],
    lanes: [] as number[],
  }));
  for (let round = -FIRST_ROUNDS; round < rounds; round++) {
    for (const row of rows) {
      const seconds = await page.evaluate(([way, bytes]) => window.bench.transfer(way, bytes), [
        row.way,
        BYTES,
      ] as const);
      (round < 0 ? row.first : row.seconds).push(seconds);
      if (row.way === "link") row.lanes.push(await page.evaluate(() => window.bench.lanes()));
      say(
        `${row.way}: ${seconds.toFixed(2)} s, ${(BYTES / seconds / 1e6).toFixed(2)} MB/s${row.way === "link" ? `, ${row.lanes.at(-1)} lanes` : ""}`,
      );
    }
  }
  return rows;
}

async function connect(a: Page, b: Page): Promise<void> {
  await Promise.all(
    [a, b].map((page) => page.evaluate((sides) => window.bench.connectLink(...sides), SIDES)),
  );
  const offer = await a.evaluate(() => window.bench.offer());
  const answer = await b.evaluate((offer) => window.bench.answer(offer), offer);
  await a.evaluate((answer) => window.bench.accept(answer), answer);
  await Promise.all([
    a.evaluate((other) => window.bench.callRelay(other), SIDES[1]),
    b.evaluate(() => window.bench.answerRelay()),
  ]);
}

function startHost({ prefix }: Place): ChildProcess {
  const words = [
    ...prefix,
    process.execPath,
    "--import",
    "tsx",
    new URL("host.ts", import.meta.url).pathname,
  ];
  return spawn(words[0]!, words.slice(1), { stdio: ["ignore", "pipe", "inherit"] });
}

async function firstLine(host: ChildProcess): Promise<string> {
  for await (const line of createInterface({ input: host.stdout! })) return line;
  throw new UserError("the benchmark's server did not start: its reason is above");
}

/** A browser in that place: Playwright starts a program, so there is one that goes there first. */
async function launch({ prefix }: Place, program: string, origin: string): Promise<Browser> {
  writeFileSync(program, `#!/bin/sh\nexec ${[...prefix, requireBrowser()].join(" ")} "$@"\n`);
  chmodSync(program, 0o700);
  return chromium.launch({
    executablePath: program,
    args: [...CHROMIUM_FLAGS, `--unsafely-treat-insecure-origin-as-secure=${origin}`],
  });
}

async function openPage(browser: Browser, origin: string, say: (line: string) => void): Promise<Page> {
  const context = await browser.newContext({ permissions: ["microphone", "camera"] });
  const page = await context.newPage();
  page.on("console", (message) => say(message.text()));
  await page.goto(origin);
  return page;
}
