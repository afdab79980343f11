// The store: what is put in comes out again, also after the server was away.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import type { RunEvent } from "../../core/protocol/events.ts";
import { Store } from "../../server/store.ts";
import { tinyConfig } from "../fixtures/configs.ts";

test("runs and events outlive the store", async () => {
  const data = mkdtempSync(join(tmpdir(), "tributary-store-"));
  onTestFinished(() => rmSync(data, { recursive: true, force: true }));
  const events: RunEvent[] = [
    { event: "started", run: "tiny-a", parameters: 45_000 },
    { event: "step", step: 1, loss: 5.5, gradNorm: 1.25, tokens: 128, seconds: 0.9 },
    { event: "sample", step: 1, text: 'quotes " and \n lines and ✓' },
  ];

  const store = await Store.open(data);
  const first = await store.createRun({ id: "tiny-a", config: tinyConfig() });
  const second = await store.createRun({ id: "tiny-b", config: tinyConfig({ steps: 7 }) });
  expect(second).toBe(first + 1);
  expect(await store.run("tiny-a")).toMatchObject({ status: "waiting", step: 0, checkpoint: null });
  // Not awaited one by one: the coordinator does not wait either.
  await Promise.all(events.map((event) => store.addEvent("tiny-a", event)));
  await store.updateRun("tiny-a", { status: "done", step: 20, checkpoint: "tiny-a-20" });
  await expect(store.createRun({ id: "tiny-a", config: tinyConfig() })).rejects.toThrow();
  await store.close();

  const reopened = await Store.open(data);
  onTestFinished(() => reopened.close());
  expect(await reopened.run("tiny-a")).toMatchObject({
    number: first,
    config: tinyConfig(),
    status: "done",
    step: 20,
    checkpoint: "tiny-a-20",
  });
  expect((await reopened.runs()).map(({ id }) => id)).toEqual(["tiny-b", "tiny-a"]);
  expect((await reopened.run("tiny-b"))!.config.steps).toBe(7);
  expect(await reopened.events("tiny-a")).toEqual(events);
  expect(await reopened.events("tiny-b")).toEqual([]);
  expect(await reopened.run("tiny-c")).toBe(null);
  expect((await reopened.unfinished())!.id).toBe("tiny-b");
  await reopened.stopUnfinished();
  expect(await reopened.unfinished()).toBe(null);
  expect((await reopened.run("tiny-b"))!.status).toBe("stopped");
}, 90_000);
