// Bad input: one clear line on standard error, and the right exit code.
import { writeFileSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { startServer } from "../../server/app.ts";
import { tinyConfig } from "../fixtures/configs.ts";
import { configFile, dataFolder, scratchFolder, tributary, type CommandResult } from "./command.ts";

const data = dataFolder();

function expectOneLine({ code, stdout, stderr }: CommandResult, exitCode: number, pattern: RegExp): void {
  expect(stderr.trim().split("\n")).toHaveLength(1);
  expect(stderr).toMatch(pattern);
  expect(stderr).toMatch(/^tributary: /);
  expect(stdout.includes("at async")).toBe(false);
  expect(code).toBe(exitCode);
}

async function localWith(config: unknown, sites = "a:1"): Promise<CommandResult> {
  const path = configFile(scratchFolder(), config);
  return tributary(["local", path, "--sites", sites, "--data", data, "--json"]);
}

const withText = (text: string) => ({ ...tinyConfig(), data: { ...tinyConfig().data, text } });

test("an unknown key of the configuration", async () => {
  expectOneLine(await localWith({ ...tinyConfig(), optimiser: {} }), 2, /unknown key 'optimiser'; remove it/);
});

test("a value that cannot be", async () => {
  const model = { ...tinyConfig().model, heads: 5 };
  expectOneLine(
    await localWith({ ...tinyConfig(), model }),
    2,
    /model.width: width must be a multiple of heads/,
  );
});

test("a configuration that is missing, or is not JSON", async () => {
  expectOneLine(
    await tributary(["local", "nowhere.json", "--sites", "a:1"]),
    2,
    /no configuration file 'nowhere.json'/,
  );
  const path = join(scratchFolder(), "run.json");
  writeFileSync(path, "{ name: }");
  expectOneLine(await tributary(["local", path, "--sites", "a:1"]), 2, /is not JSON/);
});

test("a text that is missing, empty or too short", async () => {
  expectOneLine(
    await localWith(withText("no/such/file.txt")),
    2,
    /data.text: no file, folder or installed package/,
  );
  const folder = scratchFolder();
  writeFileSync(join(folder, "empty.txt"), "\n");
  writeFileSync(join(folder, "short.txt"), "Call me Ishmael.");
  expectOneLine(
    await localWith(withText(join(folder, "empty.txt"))),
    2,
    /is empty: give a file with text in it/,
  );
  expectOneLine(
    await localWith(withText(join(folder, "short.txt"))),
    2,
    /16 tokens, too few for model.context 16/,
  );
});

test("a tokenizer with more tokens than the model's vocabulary", async () => {
  const config = { ...tinyConfig(), data: { ...tinyConfig().data, tokenizer: "gpt2" } };
  expectOneLine(
    await localWith(config),
    2,
    /model.vocab is 256, but the tokenizer 'gpt2' has 50257 tokens: raise/,
  );
});

test("sites that are not NAME:COUNT", async () => {
  expectOneLine(
    await localWith(tinyConfig(), "a:none"),
    2,
    /the count of 'a' is 'none': give a whole number/,
  );
  expectOneLine(await localWith(tinyConfig(), "a b:1"), 2, /'a b' is no name for a site/);
});

test("a model that is too large for its GPU", async () => {
  const { model } = tinyConfig();
  const large = { ...model, layers: 1, width: 16384, heads: 64, kvHeads: 64, hidden: 16384, context: 4 };
  expectOneLine(
    await localWith({ ...tinyConfig(), model: large }),
    2,
    /worker a-1: .* needs max\w+ of \d+, this GPU's limit is \d+: use more stages or a smaller model/,
  );
});

test("a port in use", async () => {
  const other = createServer().listen(0, "localhost");
  onTestFinished(() => void other.close());
  await new Promise((resolve) => other.once("listening", resolve));
  const { port } = other.address() as AddressInfo;
  const result = await tributary(["serve", "--port", String(port), "--data", data]);
  expectOneLine(result, 2, new RegExp(`port ${port} is in use: choose another with --port`));
});

test("a data folder in use", async () => {
  const server = await startServer({ port: 0, host: "localhost", data, tls: false });
  onTestFinished(() => server.close());
  expectOneLine(
    await tributary(["serve", "--port", "0", "--data", data]),
    2,
    /is in use by process \d+: stop it/,
  );
});

test("a wrong token, or none: for a run and for a worker", async () => {
  const server = await startServer({ port: 0, host: "localhost", data, tls: false });
  onTestFinished(() => server.close());
  const config = configFile(scratchFolder(), tinyConfig());
  const to = ["--server", server.url];
  expectOneLine(
    await tributary(["run", config, ...to]),
    2,
    /give the token that 'tributary serve' printed with --token/,
  );
  expectOneLine(await tributary(["run", config, ...to, "--token", "guess"]), 2, /wrong owner token/);
  // The worker's token is not enough to start a run.
  expectOneLine(
    await tributary(["run", config, ...to, "--token", server.tokens.worker]),
    2,
    /wrong owner token/,
  );
  expectOneLine(
    await tributary(["worker", ...to, "--site", "a", "--token", "guess"]),
    2,
    /worker of site a: .*wrong join token: open the worker link that 'tributary serve' printed/,
  );
});

test("no browser", async () => {
  const config = configFile(scratchFolder(), tinyConfig());
  const args = ["local", config, "--sites", "a:1", "--data", data];
  const wrong = { TRIBUTARY_CHROMIUM: "/nonexistent/chromium" };
  expectOneLine(await tributary(args, wrong), 3, /TRIBUTARY_CHROMIUM is '\/nonexistent\/chromium'/);
  const none = { TRIBUTARY_CHROMIUM: "", PATH: "", PLAYWRIGHT_BROWSERS_PATH: "/nonexistent" };
  expectOneLine(
    await tributary(args, none),
    3,
    /no Chromium was found: install one \(Debian: apt install chromium/,
  );
});

test("an unknown command or option", async () => {
  expectOneLine(await tributary(["trian"]), 2, /no command 'trian': see tributary --help/);
  expectOneLine(await tributary(["serve", "--prot", "1"]), 2, /prot/);
});
