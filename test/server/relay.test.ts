// The relay between two workers, spoken to as their pages do.
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { randomUUID } from "node:crypto";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { WebSocket } from "ws";
import { RELAY_CREDIT_BYTES, RELAY_PATH, type RelayGreeting } from "../../core/protocol/relay.ts";
import { Relay, type RingMessage } from "../../server/relay.ts";

let server: Server;
let relay: Relay;
let url: string;

beforeEach(async () => {
  relay = new Relay((worker, other) => ![worker, other].includes("stranger"));
  server = createServer();
  server.on("upgrade", (request, socket, head) => relay.handleUpgrade(request, socket, head));
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  url = `ws://127.0.0.1:${(server.address() as AddressInfo).port}${RELAY_PATH}`;
});

afterEach(() => {
  relay.close();
  server.close();
});

interface Client {
  socket: WebSocket;
  words: unknown[];
  messages: Buffer[];
  closed: string[];
}

function connect(greeting: RelayGreeting | string): Client {
  const socket = new WebSocket(url);
  const client: Client = { socket, words: [], messages: [], closed: [] };
  socket.on("open", () => socket.send(typeof greeting === "string" ? greeting : JSON.stringify(greeting)));
  socket.on("message", (data, isBinary) => {
    if (isBinary) client.messages.push(data as Buffer);
    else client.words.push(JSON.parse(String(data)));
  });
  socket.on("close", (_, reason) => client.closed.push(String(reason)));
  return client;
}

async function called(): Promise<{ caller: Client; ring: RingMessage; keyOfB: string }> {
  const rings: RingMessage[] = [];
  const keyOfA = relay.admit("a-1", () => {});
  const keyOfB = relay.admit("b-1", (ring) => rings.push(ring));
  const caller = connect({ type: "call", key: keyOfA, to: "b-1", link: randomUUID() });
  await vi.waitFor(() => expect(rings).toHaveLength(1));
  return { caller, ring: rings[0]!, keyOfB };
}

async function joined(): Promise<[Client, Client]> {
  const { caller, ring, keyOfB } = await called();
  expect(ring.from).toBe("a-1");
  const answerer = connect({ type: "answer", key: keyOfB, call: ring.call });
  await vi.waitFor(() =>
    expect([caller.words, answerer.words]).toEqual([[{ type: "open" }], [{ type: "open" }]]),
  );
  return [caller, answerer];
}

test("does not ring a worker that no run links with the caller", async () => {
  const rings: RingMessage[] = [];
  const key = relay.admit("stranger", () => {});
  relay.admit("b-1", (ring) => rings.push(ring));
  const caller = connect({ type: "call", key, to: "b-1", link: randomUUID() });
  await vi.waitFor(() => expect(caller.closed).toEqual(["no run links these workers now"]));
  expect(rings).toEqual([]);
});

test("passes binary messages on, unchanged and in order, and says how much", async () => {
  const [a, b] = await joined();
  a.socket.send(Buffer.from([1, 2, 3]));
  a.socket.send(Buffer.alloc(65_549, 7));
  b.socket.send(Buffer.from([4]));
  await vi.waitFor(() => expect(b.messages).toHaveLength(2));
  await vi.waitFor(() => expect(a.messages).toEqual([Buffer.from([4])]));
  expect(b.messages.map((message) => [message.length, message[0]])).toEqual([
    [3, 1],
    [65_549, 7],
  ]);
  await vi.waitFor(() =>
    expect(a.words.slice(1)).toEqual([
      { type: "passed", bytes: 3 },
      { type: "passed", bytes: 65_549 },
    ]),
  );
});

test("ends both sides when one ends, and when a worker leaves", async () => {
  const [a, b] = await joined();
  a.socket.close();
  await vi.waitFor(() => expect(b.closed).toEqual(["the other page's connection closed"]));
  const [, d] = await joined();
  relay.dismiss("a-1");
  await vi.waitFor(() => expect(d.closed).toHaveLength(1));
});

test("holds no more of a page's bytes than its credit, and passes no text", async () => {
  const [a, b] = await joined();
  b.socket.pause();
  const chunk = Buffer.alloc(64 * 1024);
  // More than the credit and what two sockets may hold.
  for (let sent = 0; sent < 16 * RELAY_CREDIT_BYTES; sent += chunk.length) a.socket.send(chunk);
  const rules = "the page does not keep to the relay's rules";
  await vi.waitFor(() => expect(a.closed).toEqual([rules]), 10_000);
  b.socket.terminate();
  const [c] = await joined();
  c.socket.send("hello");
  await vi.waitFor(() => expect(c.closed).toEqual([rules]));
});

test.each([
  ["no greeting", "hello", "no greeting of the relay"],
  [
    "a wrong key",
    { type: "call", key: "x", to: "b-1", link: randomUUID() },
    "wrong relay key: reload the page",
  ],
] as const)("turns away who has %s", async (_, greeting, reason) => {
  const client = connect(greeting);
  await vi.waitFor(() => expect(client.closed).toEqual([reason]));
});

test("lets only the worker that is called answer, and only once", async () => {
  const { caller, ring, keyOfB } = await called();
  const keyOfC = relay.admit("c-1", () => {});
  const stranger = connect({ type: "answer", key: keyOfC, call: ring.call });
  await vi.waitFor(() => expect(stranger.closed).toEqual(["the call is over"]));
  connect({ type: "answer", key: keyOfB, call: ring.call });
  await vi.waitFor(() => expect(caller.words).toHaveLength(1));
  const second = connect({ type: "answer", key: keyOfB, call: ring.call });
  await vi.waitFor(() => expect(second.closed).toEqual(["the call is over"]));
  const nobody = connect({ type: "call", key: keyOfC, to: "d-1", link: randomUUID() });
  await vi.waitFor(() => expect(nobody.closed).toEqual(["its page has left the server"]));
});

test("a worker that has left is not heard any more", async () => {
  const key = relay.admit("a-1", () => {});
  relay.dismiss("a-1");
  const client = connect({ type: "call", key, to: "a-1", link: randomUUID() });
  await vi.waitFor(() => expect(client.closed).toEqual(["wrong relay key: reload the page"]));
});
