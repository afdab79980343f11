// A headless Firefox with one page, driven by WebDriver BiDi. A browser a page: a page in the background has its
// timers throttled, and a browser that ends takes one worker along, not several.
// Not here: finding and starting Firefox (firefox.ts).
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { BidiConnection } from "./bidi.ts";
import { EXIT, UserError } from "./errors.ts";
import { launchFirefox, type HeadlessFirefox } from "./firefox.ts";
import type { HeadlessPage } from "./headless-page.ts";

const START_MS = 60_000;
const LOOK_MS = 50;
const GRACE_MS = 10_000;

const ServerFile = z.object({ ws_host: z.string(), ws_port: z.number() });
const Tree = z.object({ contexts: z.array(z.object({ context: z.string() })).min(1) });
const Evaluated = z.discriminatedUnion("type", [
  z.object({ type: z.literal("success"), result: z.object({ value: z.string().optional() }) }),
  z.object({ type: z.literal("exception"), exceptionDetails: z.object({ text: z.string() }) }),
]);
/** Where a page goes whose process is gone. */
const CRASHED = "about:tabcrashed";
const Navigation = z.object({ url: z.string() });
const LogEntry = z.object({ level: z.string(), text: z.string().nullable() });

/** @throws UserError when there is no Firefox, or it does not start */
export async function openFirefoxPage(onProblem: (text: string) => void): Promise<HeadlessPage> {
  // The port is open to this machine only; Firefox lets no web page use it.
  const firefox = await launchFirefox("--remote-debugging-port", "0");
  try {
    const connection = await BidiConnection.open(await addressOf(firefox), { acceptInsecureCerts: true });
    return await firstPage(firefox, connection, onProblem);
  } catch (error) {
    await firefox.close();
    throw error;
  }
}

async function firstPage(
  firefox: HeadlessFirefox,
  connection: BidiConnection,
  onProblem: (text: string) => void,
): Promise<HeadlessPage> {
  let closing = false;
  connection.onEvent = (_method, params) => {
    if (closing) return;
    const entry = LogEntry.safeParse(params);
    if (entry.success && entry.data.level === "error") onProblem(entry.data.text ?? "an error");
    if (Navigation.safeParse(params).data?.url.startsWith(CRASHED)) {
      onProblem("the page crashed");
      void firefox.close();
    }
  };
  const events = ["log.entryAdded", "browsingContext.navigationCommitted"];
  await connection.command("session.subscribe", z.unknown(), { events });
  const { contexts } = await connection.command("browsingContext.getTree", Tree, {});
  const { context } = contexts[0]!;
  const evaluate = async (expression: string) => {
    const answer = await connection.command("script.evaluate", Evaluated, {
      expression: `(async () => JSON.stringify(await (${expression})))()`,
      target: { context },
      awaitPromise: true,
    });
    if (answer.type === "exception") throw new Error(answer.exceptionDetails.text);
    return answer.result.value === undefined ? undefined : JSON.parse(answer.result.value);
  };
  const userAgent = String(await evaluate("navigator.userAgent"));
  return {
    name: /Firefox\/[\d.]+/.exec(userAgent)?.[0].replace("/", " ") ?? "Firefox",
    ended: firefox.ended,
    goto: (url) =>
      connection.command("browsingContext.navigate", z.unknown(), { context, url, wait: "complete" }),
    evaluate,
    async close() {
      closing = true;
      connection.command("browser.close", z.unknown(), {}).catch(() => {});
      await Promise.race([firefox.ended, sleep(GRACE_MS, undefined, { ref: false })]);
      await firefox.close();
    },
  };
}

/** Where it takes commands: it writes that into its profile when it is ready. */
async function addressOf({ profile, path, ended }: HeadlessFirefox): Promise<string> {
  const gone = ended.then(() => true);
  for (let waited = 0; waited < START_MS; waited += LOOK_MS) {
    const text = await readFile(join(profile, "WebDriverBiDiServer.json"), "utf8").catch(() => "");
    // It may be half written.
    if (text.trimEnd().endsWith("}")) {
      const { ws_host: host, ws_port: port } = ServerFile.parse(JSON.parse(text));
      return `ws://${host}:${port}`;
    }
    if (await Promise.race([gone, sleep(LOOK_MS, false)])) break;
  }
  throw new UserError(
    `${path} does not start as a Firefox: set TRIBUTARY_FIREFOX to one that does, version 141 or later`,
    EXIT.noGpu,
  );
}
