// Links between pages of a real Chromium: both libraries, our broker and relay, and signals carried
// as the server does.
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { type Browser, type BrowserContext, chromium, type Page } from "playwright";
import { build, type Rolldown } from "vite";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { type WebSocket, WebSocketServer } from "ws";
import type { LinkKind, PlannedLink } from "../../core/plan/plan.ts";
import { type Broker, createBroker } from "../../server/broker.ts";
import { CHROMIUM_FLAGS } from "../../server/chromium-flags.ts";
import { Relay } from "../../server/relay.ts";
import { CHUNK_HEADER_BYTES, CHUNK_PAYLOAD_BYTES } from "../../web/link/chunks.ts";
import { HIGH_WATER_BYTES } from "../../web/link/lane.ts";
import type { Times } from "./switchboard-page.ts";

const KEY = "the-broker's-key";
const MB = 1024 * 1024;
const WAIT = { timeout: 20_000, interval: 50 };

let server: Server;
let broker: Broker;
const relay = new Relay(() => true);
let browser: Browser;
let context: BrowserContext;
let origin: string;
/** Every address the pages asked for. */
const addresses = new Set<string>();
const workers = new Map<string, WebSocket>();

beforeAll(async () => {
  const script = await bundle(new URL("switchboard-page.ts", import.meta.url).pathname);
  const signals = new WebSocketServer({ noServer: true });
  server = createServer((request, response) => {
    const isScript = request.url === "/page.js";
    response.setHeader("content-type", isScript ? "text/javascript" : "text/html");
    response.end(isScript ? script : `<!doctype html><script src="/page.js"></script>`);
  });
  broker = createBroker({ key: KEY });
  server.on("upgrade", (request, socket, head) => {
    if (broker.handleUpgrade(request, socket, head) || relay.handleUpgrade(request, socket, head)) return;
    signals.handleUpgrade(request, socket, head, (webSocket) => carrySignals(webSocket, request.url!));
  });
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  browser = await chromium.launch({
    executablePath: process.env.TRIBUTARY_CHROMIUM ?? "/usr/bin/chromium",
    args: [...CHROMIUM_FLAGS],
  });
}, 60_000);

afterAll(async () => {
  await browser.close();
  broker.close();
  relay.close();
  server.close();
});

beforeEach(async () => {
  // Without a default route Chromium lists its network interfaces only to pages that may use these.
  context = await browser.newContext({ permissions: ["microphone", "camera"] });
});

afterEach(async () => {
  await context.close();
});

async function bundle(entry: string): Promise<string> {
  const output = (await build({
    configFile: false,
    logLevel: "error",
    build: {
      write: false,
      minify: false,
      rolldownOptions: { input: entry, output: { format: "iife" } },
    },
  })) as Rolldown.RolldownOutput;
  return output.output[0].code;
}

function carrySignals(socket: WebSocket, url: string): void {
  const from = new URL(url, origin).searchParams.get("worker")!;
  workers.set(from, socket);
  socket.on("message", (message) => {
    const { to, data } = JSON.parse(String(message)) as { to: string; data: string };
    workers.get(to)?.send(JSON.stringify({ from, data }));
  });
}

/** A page with the switchboard of this worker. */
async function worker(id: string, options: { key?: string } & Times = {}): Promise<Page> {
  const { key = KEY, ...times } = options;
  const page = await context.newPage();
  page.on("request", (request) => addresses.add(request.url()));
  page.on("websocket", (webSocket) => addresses.add(webSocket.url()));
  await page.goto(origin);
  const keys = {
    broker: key,
    relay: relay.admit(id, (ring) => workers.get(id)?.send(JSON.stringify({ ring }))),
  };
  await page.evaluate(([id, keys, times]) => window.board.start(id, keys, times), [id, keys, times] as const);
  return page;
}

function plan(kind: LinkKind, ...pairs: [string, string][]): PlannedLink[] {
  return pairs.map(([initiator, other]) => ({ initiator, other, kind }));
}

const connect = (page: Page, links: PlannedLink[]): Promise<void> =>
  page.evaluate((links) => window.board.connect(links), links);

async function linkedPages(kind: LinkKind): Promise<[Page, Page]> {
  const pages: [Page, Page] = [await worker("a-1"), await worker("b-2")];
  await Promise.all(pages.map((page) => connect(page, plan(kind, ["a-1", "b-2"]))));
  return pages;
}

const broken = (page: Page) => page.evaluate(() => window.board.broken);
const received = (page: Page) => page.evaluate(() => window.board.received);

describe.each(["site", "wide"] as const)("a %s link", (kind) => {
  test("carries frames of all sizes whole and in order, both ways at once", async () => {
    const [a, b] = await linkedPages(kind);
    const sizes = [0, 1, 65_535, 65_536, 65_537, 5 * MB, 47, 131_072, 0];
    const send = (page: Page, to: string) =>
      page.evaluate(([to, sizes]) => window.board.send(to, sizes), [to, sizes] as const);
    const [fromA, fromB] = await Promise.all([send(a, "b-2"), send(b, "a-1")]);
    await vi.waitFor(async () => expect(await received(b)).toHaveLength(sizes.length), WAIT);
    await vi.waitFor(async () => expect(await received(a)).toHaveLength(sizes.length), WAIT);
    expect(await received(b)).toEqual(fromA.map((frame) => ({ from: "a-1", ...frame })));
    expect(await received(a)).toEqual(fromB.map((frame) => ({ from: "b-2", ...frame })));
  });

  test("counts what the browser says was sent, and holds back what the channel cannot take", async () => {
    const [a, b] = await linkedPages(kind);
    const activation = await a.evaluate(() => window.board.sendActivation("b-2", 65_536));
    await a.evaluate((bytes) => window.board.send("b-2", [bytes]), 5 * MB);
    await vi.waitFor(async () => expect(await received(b)).toHaveLength(2), WAIT);

    const counts = await vi.waitFor(async () => {
      const { counts, sent } = await a.evaluate(async () => ({
        counts: window.board.counts(),
        sent: await window.board.bytesSent(),
      }));
      expect(Object.values(counts[kind]).reduce((sum, bytes) => sum + bytes)).toBe(sent);
      return counts;
    }, WAIT);
    expect(counts[kind]["activation"]).toBe(activation + 2 * CHUNK_HEADER_BYTES);
    const chunks = (5 * MB) / CHUNK_PAYLOAD_BYTES;
    expect(counts[kind]["link"]).toBeGreaterThan(5 * MB + chunks * CHUNK_HEADER_BYTES);
    expect(counts[kind === "site" ? "wide" : "site"]).toEqual({});

    const mostBuffered = await a.evaluate(() => window.board.mostBuffered);
    expect(mostBuffered).toBeGreaterThan(HIGH_WATER_BYTES / 2);
    expect(mostBuffered).toBeLessThanOrEqual(HIGH_WATER_BYTES + 100);
  });

  test("stays while planned, goes when it is not, and comes back", async () => {
    const [a, b] = await linkedPages(kind);
    const links = plan(kind, ["a-1", "b-2"]);
    await connect(a, links);
    expect((await a.evaluate(() => window.board.gathered())).length).toBe(1);

    await connect(a, []);
    await vi.waitFor(
      async () =>
        expect(await broken(b)).toEqual([
          { peer: "a-1", kind, reason: "closed by the other side: no longer planned" },
        ]),
      WAIT,
    );
    expect(await broken(a)).toEqual([]);
    await expect(b.evaluate(() => window.board.send("a-1", [1]))).rejects.toThrow("no link to worker a-1");

    await Promise.all([connect(a, links), connect(b, links)]);
    await b.evaluate(() => window.board.send("a-1", [9]));
    await vi.waitFor(async () => expect(await received(a)).toHaveLength(1), WAIT);
  });

  test("closed with all others tells the other side why", async () => {
    const [a, b] = await linkedPages(kind);
    await a.evaluate(() => window.board.close("run over"));
    await vi.waitFor(
      async () =>
        expect(await broken(b)).toEqual([
          { peer: "a-1", kind, reason: "closed by the other side: run over" },
        ]),
      WAIT,
    );
    await expect(connect(a, [])).rejects.toThrow("this worker's links are closed");
  });

  test("gives way when the other worker comes anew", async () => {
    const [a, b] = await linkedPages(kind);
    const links = plan(kind, ["a-1", "b-2"]);
    await a.close();
    const again = await worker("a-1");
    const connecting = connect(again, links);
    await vi.waitFor(
      async () =>
        expect(await broken(b)).toEqual([{ peer: "a-1", kind, reason: "the other side connected anew" }]),
      WAIT,
    );
    await Promise.all([connecting, connect(b, links)]);
    await again.evaluate(() => window.board.send("b-2", [9]));
    await vi.waitFor(async () => expect(await received(b)).toHaveLength(1), WAIT);
  });

  test("that gets what no link sends breaks on both sides", async () => {
    const [a, b] = await linkedPages(kind);
    const overLong = [0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255, 1, 2, 3];
    await a.evaluate((bytes) => window.board.sendRaw(bytes), overLong);
    await vi.waitFor(async () => expect(await broken(b)).toHaveLength(1), WAIT);
    expect((await broken(b))[0]!.reason).toMatch(/^damaged: .*4294967295 bytes, over the limit/);
    await vi.waitFor(async () => expect(await broken(a)).toHaveLength(1), WAIT);
  });

  test("waits for the side that comes later", async () => {
    const links = plan(kind, ["a-1", "b-2"]);
    const a = await worker("a-1");
    const b = await worker("b-2");
    const connecting = connect(a, links);
    // The call is out: a site signal has reached b, or the broker has given up on a first wide call.
    const calls = kind === "site" ? 1 : 2;
    await vi.waitFor(
      async () => expect((await a.evaluate(() => window.board.gathered())).length).toBe(calls),
      WAIT,
    );
    await Promise.all([connecting, connect(b, links)]);
    await a.evaluate(() => window.board.send("b-2", [9]));
    await vi.waitFor(async () => expect(await received(b)).toHaveLength(1), WAIT);
  });

  test("that nobody answers fails with the likely cause", async () => {
    const a = await worker("a-1", { connectTimeoutMs: 1000 });
    await expect(connect(a, plan(kind, ["a-1", "b-2"]))).rejects.toThrow(
      "no connection to worker b-2 in 1 s: nothing was heard from its page: is it still open?",
    );
  });
});

test("links to a page that is gone break, once each", async () => {
  const links = [...plan("site", ["a-1", "b-2"]), ...plan("wide", ["a-1", "c-3"])];
  const times = { mendMs: 1000 };
  const [a, b, c] = await Promise.all([worker("a-1"), worker("b-2", times), worker("c-3", times)]);
  await Promise.all([a, b, c].map((page) => connect(page, links)));
  await a.close();
  await vi.waitFor(async () => expect(await broken(b)).toHaveLength(1), WAIT);
  await vi.waitFor(async () => expect(await broken(c)).toHaveLength(1), WAIT);
  expect(await broken(b)).toMatchObject([{ peer: "a-1", kind: "site" }]);
  expect(await broken(c)).toMatchObject([{ peer: "a-1", kind: "wide" }]);
});

describe.each(["site", "wide"] as const)("a %s link", (kind) => {
  test("whose connection is cut is made again, and brings every frame once", async () => {
    const [a, b] = await linkedPages(kind);
    const sizes = Array.from({ length: 40 }, (_, i) => 200_000 + i);
    const sending = a.evaluate((sizes) => window.board.send("b-2", sizes), sizes);
    await vi.waitFor(async () => expect((await received(b)).length).toBeGreaterThan(2), WAIT);
    await a.evaluate(() => window.board.cut());
    const sent = await sending;
    await vi.waitFor(async () => expect(await received(b)).toHaveLength(sizes.length), WAIT);
    expect(await received(b)).toEqual(sent.map((frame) => ({ from: "a-1", ...frame })));
    expect([await broken(a), await broken(b)]).toEqual([[], []]);
    expect(await a.evaluate(() => window.board.relayed())).toEqual([]);
  });

  test("without a direct connection goes through the relay, and says so", async () => {
    const times = { relayAfterMs: 500 };
    const [a, b] = [await worker("a-1", times), await worker("b-2", times)];
    for (const page of [a, b]) await page.evaluate(() => window.board.blockPeerConnections());
    await Promise.all([a, b].map((page) => connect(page, plan(kind, ["a-1", "b-2"]))));
    const sizes = [0, 65_537, 5 * MB, 1];
    const [fromA, fromB] = await Promise.all([
      a.evaluate((sizes) => window.board.send("b-2", sizes), sizes),
      b.evaluate((sizes) => window.board.send("a-1", sizes), sizes),
    ]);
    await vi.waitFor(async () => expect(await received(b)).toHaveLength(sizes.length), WAIT);
    await vi.waitFor(async () => expect(await received(a)).toHaveLength(sizes.length), WAIT);
    expect(await received(b)).toEqual(fromA.map((frame) => ({ from: "a-1", ...frame })));
    expect(await received(a)).toEqual(fromB.map((frame) => ({ from: "b-2", ...frame })));
    expect(await a.evaluate(() => window.board.relayed())).toEqual(["b-2"]);
    expect(await b.evaluate(() => window.board.relayed())).toEqual(["a-1"]);
    const counts = await a.evaluate(() => window.board.counts());
    expect(Object.values(counts[kind]).reduce((sum, bytes) => sum + bytes)).toBeGreaterThan(5 * MB);
  });
});

test("a wide link opens a second lane while a long transfer keeps its buffers full, and uses it", async () => {
  const [a, b] = await linkedPages("wide");
  const sizes = Array.from({ length: 24 }, () => 2 * MB);
  for (let round = 0; (await a.evaluate(() => window.board.channelBytes())).length < 2; round++) {
    expect(round).toBeLessThan(10);
    await a.evaluate((sizes) => window.board.send("b-2", sizes), sizes);
  }
  const sent = await a.evaluate((sizes) => window.board.send("b-2", sizes), sizes);
  await vi.waitFor(async () => {
    expect((await received(b)).slice(-sent.length)).toEqual(sent.map((frame) => ({ from: "a-1", ...frame })));
  }, WAIT);
  const [, second] = await a.evaluate(() => window.board.channelBytes());
  expect(second).toBeGreaterThan(MB);
}, 120_000);

describe("the broker", () => {
  test("refuses a wrong key", async () => {
    const a = await worker("a-1", { key: "wrong", connectTimeoutMs: 1000 });
    await expect(connect(a, plan("wide", ["a-1", "b-2"]))).rejects.toThrow(
      "no connection to worker b-2 in 1 s: this server's broker: Invalid key provided",
    );
  });

  test("may go and come back under open links, which stay, and new ones open", async () => {
    const [a, b] = await linkedPages("wide");
    broker.close();
    broker = createBroker({ key: KEY });
    await a.evaluate(() => window.board.send("b-2", [9]));
    await vi.waitFor(async () => expect(await received(b)).toHaveLength(1), WAIT);

    const c = await worker("c--3z");
    const links = plan("wide", ["a-1", "b-2"], ["a-1", "c--3z"], ["b-2", "c--3z"]);
    await Promise.all([a, b, c].map((page) => connect(page, links)));
    await c.evaluate(() => window.board.send("a-1", [9]));
    await vi.waitFor(async () => expect((await received(a))[0]?.from).toBe("c--3z"), WAIT);
    expect(await broken(a)).toEqual([]);
  });
});

test("no server but ours is ever named to the browser", async () => {
  const links = [...plan("site", ["a-1", "b-2"]), ...plan("wide", ["a-1", "c-3"])];
  const pages = [await worker("a-1"), await worker("b-2"), await worker("c-3")];
  await Promise.all(pages.map((page) => connect(page, links)));
  const gathered = await pages[0]!.evaluate(() => window.board.gathered());
  expect(gathered).toEqual([[], []]);
  expect([...new Set([...addresses].map((address) => new URL(address).host))]).toEqual([
    new URL(origin).host,
  ]);
});
