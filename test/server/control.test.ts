// The control socket over real WebSockets: who is let in, what is refused, what is passed on.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test, vi } from "vitest";
import { WebSocket } from "ws";
import { MAX_CONTROL_BYTES, PROTOCOL_VERSION } from "../../core/protocol/control.ts";
import { iceServersFromEnvironment } from "../../server/control.ts";
import { serveControl, type ServedControl } from "./serving.ts";

const gpu = {
  vendor: "test",
  architecture: "",
  description: "",
  browser: "none",
  features: [],
  maxBufferSize: 1,
  maxStorageBufferBindingSize: 1,
};

const data = mkdtempSync(join(tmpdir(), "tributary-control-"));
let served: ServedControl;
beforeAll(async () => {
  served = await serveControl(data);
});
afterAll(async () => {
  await served.close();
  rmSync(data, { recursive: true, force: true });
});

// Tests share a server, so each joins sites of its own.
let site = "";
let sites = 0;
beforeEach(() => {
  site = `s${++sites}`;
});

/** A connection: messages in order, one at a time. */
async function connect(options: WebSocket.ClientOptions = {}) {
  const socket = new WebSocket(`${served.url.replace("http", "ws")}/control`, options);
  onTestFinished(() => socket.terminate());
  const received: unknown[] = [];
  const waiting: ((message: unknown) => void)[] = [];
  socket.on("message", (message) => {
    const parsed: unknown = JSON.parse(String(message));
    const next = waiting.shift();
    if (next) next(parsed);
    else received.push(parsed);
  });
  const closed = new Promise<number>((resolve) => socket.on("close", resolve));
  await new Promise((resolve) => socket.once("open", resolve));
  return {
    socket,
    closed,
    say: (message: unknown) => socket.send(JSON.stringify(message)),
    next: () =>
      received.length > 0
        ? Promise.resolve(received.shift())
        : new Promise<unknown>((resolve) => waiting.push(resolve)),
  };
}

const joinMessage = (changes: object = {}) => ({
  type: "join",
  protocol: PROTOCOL_VERSION,
  token: served.tokens.worker,
  site,
  name: "machine",
  gpu,
  ...changes,
});
const watchMessage = (token: string) => ({ type: "watch", protocol: PROTOCOL_VERSION, token });

async function joinSite() {
  const client = await connect();
  client.say(joinMessage());
  const { worker } = (await client.next()) as { worker: string };
  return { ...client, worker };
}

async function expectTurnedAway(message: unknown, reason: RegExp): Promise<void> {
  const before = await served.refusals();
  const client = await connect();
  client.socket.send(typeof message === "string" ? message : JSON.stringify(message));
  expect(await client.next()).toEqual({
    type: "refused",
    reason: expect.stringMatching(reason),
    fatal: true,
  });
  expect(await client.closed).toBe(4001);
  expect(await served.refusals()).toBe(before + 1);
  expect(served.coordinator.joined.filter((worker) => worker.site === site)).toEqual([]);
}

describe("the first message", () => {
  test("with a wrong token is refused", async () => {
    await expectTurnedAway(joinMessage({ token: "guess" }), /wrong join token: open the worker link/);
    await expectTurnedAway(watchMessage("guess"), /wrong owner token: open the coordinator link/);
  });

  test("of a worker's token does not let watch", async () => {
    await expectTurnedAway(watchMessage(served.tokens.worker), /wrong owner token/);
  });

  test("of another protocol says to reload the page", async () => {
    await expectTurnedAway(joinMessage({ protocol: PROTOCOL_VERSION + 1 }), /reload the page/);
  });

  test("must be a join or a watch that its schema fits", async () => {
    await expectTurnedAway({ type: "pause", paused: true }, /must be 'join' or 'watch'/);
    await expectTurnedAway("{", /not JSON/);
    await expectTurnedAway(joinMessage({ site: "no spaces" }), /site/);
  });

  test("may bring the owner's token to join", async () => {
    const client = await connect();
    client.say(joinMessage({ token: served.tokens.owner }));
    expect(await client.next()).toMatchObject({ type: "joined", worker: `${site}-1` });
  });
});

describe("a worker", () => {
  test("gets an id that its site never gives again", async () => {
    const first = await joinSite();
    expect(first.worker).toBe(`${site}-1`);
    first.socket.close();
    await vi.waitFor(() => expect(served.coordinator.left).toContain(first.worker));
    const second = await joinSite();
    expect(second.worker).toBe(`${site}-2`);
    expect(served.coordinator.joined.map(({ id }) => id)).toContain(second.worker);
  });

  test("hears what the coordinator sends it", async () => {
    const { worker, next } = await joinSite();
    const release = { type: "release", generation: 1, reason: "the run ended" } as const;
    served.coordinator.joined.find(({ id }) => id === worker)!.send(release);
    expect(await next()).toEqual(release);
  });

  test("that sends what cannot be used is told so and dropped, and the coordinator hears what was wrong", async () => {
    const before = await served.refusals();
    const times = { passed: 1, waited: 0, exchanging: 0, exposed: null };
    const ready = { type: "ready", generation: 1, step: 1, squaredNorm: 1, tokens: 1, times, bytes: {} };
    const bad: [string, unknown, RegExp][] = [
      ["unreadable", "not JSON", /not JSON/],
      ["unknown", { type: "unheard-of" }, /type/],
      ["pause", { type: "pause", paused: true, extra: 1 }, /extra/],
      ["validated", { type: "validated", generation: -1, step: 1, lossSum: 0, tokens: 1 }, /generation/],
      ["ready", ready, /times: exposed: /],
      ["join", joinMessage(), /came twice/],
    ];
    for (const [type, message, problem] of bad) {
      const { worker, socket, closed, say, next } = await joinSite();
      socket.send(typeof message === "string" ? message : JSON.stringify(message));
      // Still under way when it is dropped.
      say({ type: "pause", paused: true });
      expect(await next(), type).toEqual({
        type: "refused",
        reason: expect.stringMatching(problem),
        fatal: true,
      });
      expect(await closed).toBe(4001);
      expect(served.coordinator.left.filter((id) => id === worker)).toEqual([worker]);
      const reason = served.coordinator.reasons.get(worker);
      expect(reason).toMatch(new RegExp(`^was dropped for its message '${type}': `));
      expect(reason).toMatch(problem);
      expect(served.coordinator.messages.filter((message) => message.worker === worker)).toEqual([]);
      // Types that are not ours are one label together: a peer cannot make labels.
      expect(await served.refusals(type), type).toBeGreaterThan(0);
    }
    expect(await served.refusals()).toBe(before + bad.length);
    expect(await served.refusals("unheard-of")).toBe(0);
  });

  test("is cut off by a message over the limit", async () => {
    const { worker, socket, closed } = await joinSite();
    const before = await served.refusals();
    socket.send("x".repeat(MAX_CONTROL_BYTES + 1));
    expect(await closed).toBe(1009);
    await vi.waitFor(() => expect(served.coordinator.left).toContain(worker));
    expect(await served.refusals()).toBe(before + 1);
  });

  test("signals another without the coordinator", async () => {
    const [from, to] = [await joinSite(), await joinSite()];
    from.say({ type: "signal", to: "nobody-1", data: "lost" });
    from.say({ type: "signal", to: to.worker, data: "offer" });
    expect(await to.next()).toEqual({ type: "signal", from: from.worker, data: "offer" });
    expect(served.coordinator.messages.filter(({ worker }) => worker === from.worker)).toEqual([]);
  });

  test("that is dismissed hears why, and the coordinator that it left", async () => {
    const { worker, next, closed } = await joinSite();
    served.coordinator.joined.at(-1)!.dismiss("the page did not answer for 3 minutes");
    expect(served.coordinator.reasons.get(worker)).toBe(
      "was dismissed: the page did not answer for 3 minutes",
    );
    expect(await next()).toEqual({ type: "dismissed", reason: "the page did not answer for 3 minutes" });
    expect(await closed).toBe(4002);
    expect(served.coordinator.left.filter((left) => left === worker)).toHaveLength(1);
  });

  test("that answers no ping is given up", async () => {
    vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
    onTestFinished(() => void vi.useRealTimers());
    const silent = await connect({ autoPong: false });
    silent.say(joinMessage());
    await silent.next();
    vi.advanceTimersByTime(10_000);
    expect(served.coordinator.left).not.toContain(`${site}-1`);
    vi.advanceTimersByTime(5_000);
    await vi.waitFor(() => expect(served.coordinator.left).toContain(`${site}-1`));
  });
});

describe("a viewer", () => {
  test("gets all there is at first, then events, and many changes as one snapshot", async () => {
    const viewer = await connect();
    viewer.say(watchMessage(served.tokens.owner));
    expect(await viewer.next()).toEqual({ type: "history", history: { run: null, events: [] } });
    expect(await viewer.next()).toEqual({ type: "snapshot", snapshot: { workers: [], run: null } });
    for (let i = 0; i < 50; i++) served.coordinator.tell({ type: "snapshot" });
    expect(await viewer.next()).toMatchObject({ type: "snapshot" });
    const update = { type: "event", run: "run-1", event: { event: "paused", paused: true } } as const;
    served.coordinator.tell(update);
    expect(await viewer.next()).toEqual(update);
  });

  test("only listens", async () => {
    const viewer = await connect();
    viewer.say(watchMessage(served.tokens.owner));
    await viewer.next();
    await viewer.next();
    const before = await served.refusals();
    viewer.say({ type: "pause", paused: true });
    expect(await viewer.next()).toMatchObject({ type: "refused", fatal: false });
    expect(await served.refusals()).toBe(before + 1);
  });
});

test("ICE servers come from the environment, checked", () => {
  onTestFinished(() => void vi.unstubAllEnvs());
  vi.stubEnv("TRIBUTARY_ICE_SERVERS", undefined);
  expect(iceServersFromEnvironment()).toEqual([]);
  vi.stubEnv("TRIBUTARY_ICE_SERVERS", '[{"urls":"stun:stun.example.org"}]');
  expect(iceServersFromEnvironment()).toEqual([{ urls: "stun:stun.example.org" }]);
  for (const wrong of ["{", "{}", '[{"url":"stun:stun.example.org"}]']) {
    vi.stubEnv("TRIBUTARY_ICE_SERVERS", wrong);
    expect(iceServersFromEnvironment, wrong).toThrow(/TRIBUTARY_ICE_SERVERS is not a JSON list/);
  }
});
