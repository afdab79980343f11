// The command line as a process: help, missing arguments, and a server that is told to end.
// Not here: what bad input to a run is told (test/e2e/bad-input.test.ts).
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { expect, onTestFinished, test, vi } from "vitest";
import demo from "../../core/model/demo.json" with { type: "json" };
import { parseServer } from "../../server/options.ts";
import { tributary } from "../e2e/command.ts";

const COMMANDS = [
  "serve",
  "worker",
  "local",
  "run",
  "status",
  "pause",
  "resume",
  "stop",
  "plan",
  "simulate",
  "doctor",
];

test("--help lists the commands, and each explains itself", async () => {
  const all = await tributary(["--help"]);
  expect(all.code).toBe(0);
  for (const command of COMMANDS) expect(all.stdout).toMatch(new RegExp(`^  ${command} .*\\w`, "m"));
  const { code, stdout, stderr } = await tributary(["serve", "--help"]);
  expect(stdout).toContain("$ tributary serve");
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
});

test("what is missing is named on one line, and nothing else is printed", async () => {
  const cases: [args: string[], pattern: RegExp][] = [
    [[], /give a command: see tributary --help/],
    [["run"], /missing required args/],
    [["stop", "run-1"], /give the server's address with --server/],
    [["serve", "--port", "70000"], /--port is '70000': give a whole number from 0 to 65535/],
  ];
  const results = await Promise.all(cases.map(([args]) => tributary(args, { TRIBUTARY_TOKEN: "" })));
  for (const [i, [args, pattern]] of cases.entries()) {
    const { code, stdout, stderr } = results[i]!;
    expect(stderr, args.join(" ")).toMatch(pattern);
    expect(stderr).toMatch(/^tributary: [^\n]+\n$/);
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
  }
});

test("plan shows who would hold what and the memory it takes; a bad cluster is one line", async () => {
  const folder = mkdtempSync(join(tmpdir(), "tributary-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const cluster = join(folder, "cluster.json");
  const write = (sites: unknown) => writeFileSync(cluster, JSON.stringify({ sites }));
  write([
    { name: "a", workers: 2 },
    { name: "b", workers: 1 },
  ]);
  const config = join(folder, "config.json");
  writeFileSync(config, JSON.stringify({ ...demo, precision: "f16" }));
  const args = ["plan", cluster, config];
  const { code, stdout } = await tributary(args);
  expect(code).toBe(0);
  expect(stdout).toMatch(/^site a: a-1 \(embedding \+ blocks 0-1\) -> a-2 .*\nsite b: b-1/);
  expect(stdout).toMatch(/^b-1 needs \d+\.\d MB of GPU memory$/m);
  expect(stdout).toMatch(/^that is in f16: a GPU without shader-f16 does its stage in f32/m);
  const { memory } = JSON.parse((await tributary([...args, "--json"])).stdout) as {
    memory: Record<string, number>;
  };
  expect(memory["b-1"]).toBeGreaterThan(memory["a-1"]!);
  write([{ name: "a", workers: 0 }]);
  const bad = await tributary(args);
  expect(bad).toMatchObject({ code: 2, stdout: "" });
  expect(bad.stderr).toMatch(/^tributary: .*cluster\.json: sites\.0\.workers: [^\n]+\n$/);
}, 90_000);

test("plan predicts the speed, says who is left out and why, and draws a step", async () => {
  const folder = mkdtempSync(join(tmpdir(), "tributary-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const config = join(folder, "config.json");
  writeFileSync(config, JSON.stringify(demo));
  const svg = join(folder, "step.svg");
  const planFor = (name: string, workers: unknown, ...options: string[]) => {
    const cluster = join(folder, `${name}.json`);
    writeFileSync(cluster, JSON.stringify({ sites: [{ name: "a", workers }] }));
    return tributary(["plan", cluster, config, ...options]);
  };
  const mixed = [{ count: 2, gflops: 4, memory: "8 GB" }, { gflops: 0.001 }];
  const [words, object, misfit] = await Promise.all([
    planFor("mixed", mixed, "--svg", svg),
    planFor("as-json", mixed, "--json"),
    planFor("small", [{ gflops: 1, memory: "1 MB" }]),
  ]);
  expect(words.stdout).toMatch(/^left out: a-3: too slow/m);
  expect(words.stdout).toMatch(/^predicted: .* a step, [\d,]+ tokens\/s$/m);
  expect(words.stdout).toMatch(/^upper bound: [\d,]+ tokens\/s, .* reaches \d+\.\d % of it$/m);
  expect(words.stdout).toMatch(/^a-\d F+B+/m);
  expect(readFileSync(svg, "utf8")).toMatch(/^<svg /);
  const printed = JSON.parse(object.stdout) as { spare: string[]; prediction: { bound: string } };
  expect(printed.spare).toEqual(["a-3"]);
  expect(printed.prediction.bound).toMatch(/^the work of a-/);
  expect(misfit).toMatchObject({ code: 2, stdout: "" });
  expect(misfit.stderr).toMatch(/^tributary: the model does not fit: [^\n]+\n$/);
}, 90_000);

test("simulate tells what became of a run, the same for the same seed, and draws it; bad input is one line", async () => {
  const folder = mkdtempSync(join(tmpdir(), "tributary-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const config = join(folder, "config.json");
  writeFileSync(config, JSON.stringify({ ...demo, steps: 100_000 }));
  const simulateFor = (name: string, hours: string, workers: unknown, ...options: string[]) => {
    const cluster = join(folder, `${name}.json`);
    const wide = { mbit: 1, ms: 10, varies: { spread: 0.5, minutes: 10 } };
    const sites = ["a", "b"].map((name) => ({ name, workers, wide }));
    writeFileSync(cluster, JSON.stringify({ sites }));
    return tributary(["simulate", cluster, config, "--hours", hours, ...options]);
  };
  const workers = [{ count: 2, gflops: 0.1, stays: 2, away: 0.5 }];
  const svg = join(folder, "hours.svg");
  const [words, objects, again, other, half, hours, blind] = await Promise.all([
    simulateFor("words", "6", workers, "--svg", svg),
    simulateFor("objects", "6", workers, "--json"),
    simulateFor("again", "6", workers, "--json", "--seed", "1"),
    simulateFor("other", "6", workers, "--json", "--seed", "2"),
    simulateFor("half", "6", [{ gflops: 1, stays: 2 }]),
    simulateFor("hours", "0", workers),
    simulateFor("blind", "6", 2),
  ]);
  expect(words).toMatchObject({ code: 0, stderr: "" });
  expect(words.stdout).toMatch(/^6 h 0 min: [\d,]+ steps, [\d,]+ tokens, [\d,]+ tokens\/s$/m);
  expect(words.stdout).toMatch(/^bound by \w/m);
  expect(words.stdout).toMatch(/^6 #* +[\d,]+$/m);
  expect(readFileSync(svg, "utf8")).toMatch(/^<svg /);
  const lines = objects.stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as { event: string; tokens: number; lost?: number });
  expect(lines.map(({ event }) => event)).toEqual([...Array<string>(6).fill("hour"), "simulated"]);
  expect(lines.slice(0, 6).reduce((sum, { tokens }) => sum + tokens, 0)).toBe(lines[6]!.tokens);
  expect(lines[6]!.lost).toBeGreaterThan(0);
  expect(again.stdout).toBe(objects.stdout);
  expect(other.stdout).not.toBe(objects.stdout);
  for (const [{ code, stdout, stderr }, pattern] of [
    [half, /half\.json: sites\.0\.workers\.0\.stays: give both stays and away, in hours, or neither/],
    [hours, /--hours is '0': give a whole number from 1 to 8784/],
    [blind, /give at least one kind of worker its gflops/],
  ] as const) {
    expect(stderr).toMatch(pattern);
    expect(stderr).toMatch(/^tributary: [^\n]+\n$/);
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
  }
}, 90_000);

test("a server that cannot start says why on one line", async () => {
  const folder = mkdtempSync(join(tmpdir(), "tributary-cli-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, "file");
  writeFileSync(file, "");
  const serve = (data: string, ...rest: string[]) => ["serve", "--port", "0", "--data", data, ...rest];
  const cases: [args: string[], environment: NodeJS.ProcessEnv, pattern: RegExp][] = [
    [serve(file), {}, /'.*file' cannot be the data folder \(EEXIST\): give another with --data/],
    // 203.0.113.0/24 is kept for documentation: no machine has such an address.
    [serve(join(folder, "a"), "--host", "203.0.113.9"), {}, /'203.0.113.9' is no address of this machine/],
    [serve(join(folder, "b")), { TRIBUTARY_LOG: "loud" }, /TRIBUTARY_LOG is 'loud': use one of trace/],
  ];
  const results = await Promise.all(cases.map(([args, environment]) => tributary(args, environment)));
  for (const [i, [args, , pattern]] of cases.entries()) {
    const { code, stdout, stderr } = results[i]!;
    expect(stderr, args.join(" ")).toMatch(pattern);
    expect(stderr).toMatch(/^tributary: [^\n]+\n$/);
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
  }
});

test("the token is looked for in --token, then in the address, then in the environment", () => {
  onTestFinished(() => void vi.unstubAllEnvs());
  vi.stubEnv("TRIBUTARY_TOKEN", "environment");
  const server = "http://localhost:8787/worker#token=link";
  const origin = "http://localhost:8787";
  expect(parseServer({ server, token: "option" })).toEqual({ origin, token: "option" });
  expect(parseServer({ server })).toEqual({ origin, token: "link" });
  expect(parseServer({ server: origin })).toEqual({ origin, token: "environment" });
  expect(() => parseServer({ server: "not an address" })).toThrow(/--server is 'not an address'/);
  vi.stubEnv("TRIBUTARY_TOKEN", undefined);
  expect(() => parseServer({ server: origin })).toThrow(/give the token .* with --token/);
});

test("a server that does not answer fails the command", async () => {
  const free = createServer().listen(0, "localhost");
  await new Promise((resolve) => free.once("listening", resolve));
  const { port } = free.address() as AddressInfo;
  await new Promise((resolve) => free.close(resolve));
  const address = `http://localhost:${port}`;
  const { code, stderr } = await tributary(["status", "run-1", "--server", `${address}#token=t`]);
  expect(stderr).toMatch(
    new RegExp(`^tributary: no server answers at ${address}: start it with [^\\n]+\\n$`),
  );
  expect(code).toBe(1);
});

test("serve prints links that work, ends on SIGINT with 130, and frees its folder", async () => {
  const data = mkdtempSync(join(tmpdir(), "tributary-cli-"));
  onTestFinished(() => rmSync(data, { recursive: true, force: true }));
  const server = spawn(process.execPath, ["server/bin.mjs", "serve", "--port", "0", "--data", data]);
  onTestFinished(() => void server.kill("SIGKILL"));
  const ended = new Promise<number | null>((resolve) => server.on("close", resolve));
  let errors = "";
  server.stderr.on("data", (data) => (errors += String(data)));
  const links: string[] = [];
  for await (const line of createInterface(server.stdout)) {
    links.push(/http\S+/.exec(line)![0]);
    if (links.length === 2) break;
  }
  expect(links, errors).toHaveLength(2);
  expect(links[0]).toMatch(/^http:\/\/localhost:\d+\/#token=[\w-]{20,}$/);
  expect(links[1]).toMatch(/^http:\/\/localhost:\d+\/worker#token=[\w-]{20,}$/);
  for (const link of links) {
    const page = await fetch(link);
    expect(page.status, link).toBe(200);
    expect(page.headers.get("X-Frame-Options")).toBe("DENY");
    expect(page.headers.get("X-Content-Type-Options")).toBe("nosniff");
  }
  const { origin, hash } = new URL(links[0]!);
  const headers = { Authorization: `Bearer ${hash.replace("#token=", "")}` };
  expect((await fetch(`${origin}/api/status`, { headers })).status).toBe(200);
  expect(statSync(join(data, "tokens.json")).mode & 0o777).toBe(0o600);
  expect(existsSync(join(data, "lock"))).toBe(true);
  server.kill("SIGINT");
  expect(await ended).toBe(130);
  expect(existsSync(join(data, "lock"))).toBe(false);
}, 90_000);
