// The HTTP API over a real port: who may do what, and what bad requests are told.
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { tinyConfig } from "../fixtures/configs.ts";
import { serveApp, type ServedApp } from "./serving.ts";

const data = mkdtempSync(join(tmpdir(), "tributary-app-"));
let served: ServedApp;
beforeAll(async () => {
  served = await serveApp(data);
  await served.store.createRun({ id: "run-1", config: tinyConfig() });
  await served.store.addEvent("run-1", { event: "paused", paused: true });
}, 90_000);
afterAll(async () => {
  await served.close();
  rmSync(data, { recursive: true, force: true });
});

const bytes = new TextEncoder().encode("some bytes");
const sha256 = (content: Uint8Array) => createHash("sha256").update(content).digest("hex");
const hash = sha256(bytes);

function call(
  method: string,
  path: string,
  { token, body }: { token?: string; body?: string | Uint8Array } = {},
): Promise<Response> {
  return fetch(`${served.url}${path}`, {
    method,
    ...(token !== undefined && { headers: { Authorization: `Bearer ${token}` } }),
    ...(body !== undefined && { body: body as BodyInit }),
  });
}
const asOwner = (method: string, path: string, body?: string | Uint8Array) =>
  call(method, path, { token: served.tokens.owner, ...(body !== undefined && { body }) });

interface Route {
  readonly method: string;
  readonly path: string;
  readonly body?: string | Uint8Array;
  /** What who may use it gets. */
  readonly status: number;
}

const OWNER_ROUTES: Route[] = [
  { method: "GET", path: "/api/status", status: 200 },
  { method: "GET", path: "/api/runs", status: 200 },
  { method: "GET", path: "/api/runs/run-1", status: 200 },
  { method: "POST", path: "/api/runs", body: JSON.stringify(tinyConfig()), status: 201 },
  { method: "POST", path: "/api/runs/run-1/pause", status: 200 },
  { method: "POST", path: "/api/runs/run-1/resume", status: 200 },
  { method: "POST", path: "/api/runs/run-1/stop", status: 200 },
  { method: "GET", path: "/api/runs/run-1/files/config.json", status: 200 },
];
const MEMBER_ROUTES: Route[] = [
  { method: "PUT", path: `/api/blobs/${hash}`, body: bytes, status: 201 },
  { method: "GET", path: `/api/blobs/${hash}`, status: 200 },
];

describe.each([...OWNER_ROUTES, ...MEMBER_ROUTES])("$method $path", ({ method, path, body, status }) => {
  const use = (token?: string) =>
    call(method, path, { ...(token !== undefined && { token }), ...(body !== undefined && { body }) });

  test("refuses without a token and with a wrong one, and says how to mend it", async () => {
    for (const token of [undefined, "", "guess", `${served.tokens.owner}x`]) {
      const response = await use(token);
      expect(response.status, String(token)).toBe(401);
      expect(await response.json()).toEqual({ error: expect.stringContaining("tributary serve") });
    }
  });

  test("takes the owner's token", async () => {
    expect((await use(served.tokens.owner)).status).toBe(status);
  });

  test("takes the worker's token only where workers have business", async () => {
    const expected = MEMBER_ROUTES.some((route) => route.path === path) ? status : 401;
    expect((await use(served.tokens.worker)).status).toBe(expected);
  });
});

describe("runs", () => {
  test("start with a checked configuration", async () => {
    const config = tinyConfig({ name: "other" });
    const response = await asOwner("POST", "/api/runs", JSON.stringify(config));
    expect(await response.json()).toEqual({ run: "run-1" });
    expect(served.coordinator.started.at(-1)).toEqual(config);
  });

  test("refuse a configuration and name everything wrong with it", async () => {
    const before = served.coordinator.started.length;
    const config = { ...tinyConfig(), steps: 0, optimiser: {} };
    const response = await asOwner("POST", "/api/runs", JSON.stringify(config));
    expect(response.status).toBe(400);
    const { issues } = (await response.json()) as { issues: string[] };
    expect(issues).toEqual([
      expect.stringMatching(/^steps: /),
      expect.stringMatching(/unknown key 'optimiser'/),
    ]);
    expect((await asOwner("POST", "/api/runs", "{")).status).toBe(400);
    expect(served.coordinator.started).toHaveLength(before);
  });

  test("are shown with their events", async () => {
    const response = await asOwner("GET", "/api/runs/run-1");
    expect(await response.json()).toMatchObject({
      id: "run-1",
      status: "waiting",
      events: [{ event: "paused", paused: true }],
    });
  });

  test("pass wishes on, and the coordinator's objections back", async () => {
    for (const wish of ["pause", "resume", "stop"]) {
      await asOwner("POST", `/api/runs/run-1/${wish}`);
      expect(served.coordinator.wishes.at(-1)).toBe(wish);
      const refused = await asOwner("POST", `/api/runs/run-2/${wish}`);
      expect(refused.status).toBe(400);
      expect(await refused.json()).toEqual({ error: "run run-2 is not active" });
    }
  });

  test("that do not exist, and files they do not have, are 404", async () => {
    for (const path of ["/api/runs/run-2", "/api/runs/run-1/files/passwd"]) {
      const response = await asOwner("GET", path);
      expect(response.status, path).toBe(404);
      expect(await response.json()).toEqual({ error: expect.any(String) });
    }
  });
});

describe("blobs", () => {
  test("come back as they were sent", async () => {
    const content = crypto.getRandomValues(new Uint8Array(60_000));
    await asOwner("PUT", `/api/blobs/${sha256(content)}`, content);
    const response = await asOwner("GET", `/api/blobs/${sha256(content)}`);
    expect(response.headers.get("Content-Length")).toBe("60000");
    expect(new Uint8Array(await response.arrayBuffer())).toEqual(content);
  });

  test("that are not what their name says are not kept", async () => {
    const other = sha256(new TextEncoder().encode("other bytes"));
    const response = await asOwner("PUT", `/api/blobs/${other}`, bytes);
    expect(response.status).toBe(400);
    expect(await response.json()).toEqual({ error: expect.stringContaining(other) });
    expect((await asOwner("GET", `/api/blobs/${other}`)).status).toBe(404);
  });

  test("have SHA-256 names and nothing else", async () => {
    for (const name of ["short", "A".repeat(64), `..%2F${"a".repeat(61)}`]) {
      expect((await asOwner("GET", `/api/blobs/${name}`)).status, name).toBe(400);
      expect((await asOwner("PUT", `/api/blobs/${name}`, bytes)).status, name).toBe(400);
    }
  });
});

test("metrics count workers by site and bytes by link", async () => {
  const worker = {
    name: "m",
    gpu: "",
    browser: "",
    speed: null,
    state: "idle",
    holds: "",
    relayed: [],
    links: [],
  };
  served.coordinator.view = {
    workers: [
      { ...worker, id: "a-1", site: "a" },
      { ...worker, id: "a-2", site: "a" },
      { ...worker, id: "b-1", site: "b" },
    ],
    run: {
      id: "run-1",
      config: tinyConfig(),
      status: "training",
      step: 7,
      siteBytesBy: { activation: 100 },
      wideBytesBy: { reduce: 10 },
      byWorker: {},
      computing: null,
      overlapped: null,
      checkpoint: null,
    },
  };
  const lines = (await (await call("GET", "/metrics")).text()).split("\n");
  expect(lines).toEqual(
    expect.arrayContaining([
      'tributary_workers{site="a"} 2',
      'tributary_workers{site="b"} 1',
      "tributary_step 7",
      'tributary_channel_bytes{link="site",purpose="activation"} 100',
      'tributary_channel_bytes{link="wide",purpose="reduce"} 10',
    ]),
  );
});

test("what is not there is 404: pages, and a certificate without TLS", async () => {
  for (const path of ["/nowhere", "/assets/..%2Findex.html", "/certificate.pem"]) {
    expect((await call("GET", path)).status, path).toBe(404);
  }
});
