// The BiDi connection against a browser that is none.
import { expect, onTestFinished, test } from "vitest";
import { WebSocketServer, type WebSocket } from "ws";
import { z } from "zod";
import { BidiConnection } from "../../server/bidi.ts";

interface Command {
  readonly id: number;
  readonly method: string;
  readonly params: unknown;
}

/** Answers each command as `answer` says, if it does. */
async function browser(answer: (command: Command) => object | null) {
  const server = new WebSocketServer({ host: "localhost", port: 0 });
  onTestFinished(() => server.close());
  await new Promise((resolve) => server.once("listening", resolve));
  const clients: WebSocket[] = [];
  server.on("connection", (client) => {
    clients.push(client);
    client.on("message", (data) => {
      const command = JSON.parse(String(data)) as Command;
      const result = command.method === "session.new" ? success(command, {}) : answer(command);
      if (result) client.send(JSON.stringify(result));
    });
  });
  const { port } = server.address() as { port: number };
  const connection = await BidiConnection.open(`ws://localhost:${port}`, { acceptInsecureCerts: true });
  return { connection, client: clients[0]! };
}

const success = ({ id }: Command, result: object) => ({ type: "success", id, result });

test("each command has its own answer, in whatever order they come", async () => {
  const held: Command[] = [];
  const { connection, client } = await browser((command) => {
    if (held.push(command) < 3) return null;
    for (const old of held.toReversed()) client.send(JSON.stringify(success(old, { of: old.params })));
    return null;
  });
  const Answer = z.object({ of: z.object({ n: z.number() }) });
  const answers = [1, 2, 3].map((n) => connection.command("test", Answer, { n }));
  expect((await Promise.all(answers)).map(({ of }) => of.n)).toEqual([1, 2, 3]);
});

test("what the browser refuses, answers wrongly or takes along rejects", async () => {
  const { connection, client } = await browser((command) =>
    command.method === "refused"
      ? { type: "error", id: command.id, error: "unknown command", message: "no such thing" }
      : command.method === "wrong"
        ? success(command, { n: "one" })
        : null,
  );
  await expect(connection.command("refused", z.unknown(), {})).rejects.toThrow("no such thing");
  await expect(connection.command("wrong", z.object({ n: z.number() }), {})).rejects.toThrow();
  const unanswered = connection.command("silent", z.unknown(), {});
  client.terminate();
  await expect(unanswered).rejects.toThrow("the browser is gone");
  await expect(connection.command("late", z.unknown(), {})).rejects.toThrow("the browser is gone");
});

test("events are passed on", async () => {
  const { connection, client } = await browser(() => null);
  const heard = new Promise((resolve) => {
    connection.onEvent = (method, params) => resolve([method, params]);
  });
  client.send(JSON.stringify({ type: "event", method: "log.entryAdded", params: { text: "x" } }));
  expect(await heard).toEqual(["log.entryAdded", { text: "x" }]);
});
