// What the coordinator keeps of workers.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { toLlamaConfig } from "../../core/formats/huggingface.ts";
import { encodeSafetensors } from "../../core/formats/safetensors.ts";
import { initialTensor, parameterSpace } from "../../core/model/parameters.ts";
import { Blobs } from "../../server/blobs.ts";
import { Checkpoints } from "../../server/checkpoints.ts";
import { RunCoordinator, type CoordinatorParts } from "../../server/coordinator.ts";
import { tinyConfig } from "../fixtures/configs.ts";
import { fakeWorker } from "./fake-workers.ts";

const SPEED = { block: 2e9, head: 1e9, overhead: 0.001, memory: 1e9 };
const READY = {
  type: "ready",
  generation: 1,
  step: 1,
  squaredNorm: 1,
  tokens: 1,
  times: { passed: 1, waited: 0, exchanging: 0, exposed: 0 },
  bytes: { site: {}, wide: {} },
} as const;

test("the newest speed of each worker stands, until it leaves", () => {
  const coordinator = new RunCoordinator({} as CoordinatorParts);
  const speeds = () => coordinator.snapshot().workers.map(({ id, speed }) => [id, speed?.block ?? null]);
  for (const id of ["a-1", "b-1"]) coordinator.join(fakeWorker(id, () => {}).port);
  expect(speeds()).toEqual([
    ["a-1", null],
    ["b-1", null],
  ]);
  coordinator.message("a-1", { type: "speed", speed: SPEED });
  coordinator.message("b-1", { ...READY, speed: { ...SPEED, block: 5e9 } });
  expect(speeds()).toEqual([
    ["a-1", 2e9],
    ["b-1", 5e9],
  ]);
  coordinator.message("a-1", { ...READY, speed: { ...SPEED, block: 3e9 } });
  coordinator.message("b-1", READY);
  expect(speeds()).toEqual([
    ["a-1", 3e9],
    ["b-1", 5e9],
  ]);
  coordinator.leave("a-1", "it left");
  expect(speeds()).toEqual([["b-1", 5e9]]);
});

test("what workers say of their links in the run's generation is kept by pair, for workers that are there", async () => {
  const folder = mkdtempSync(join(tmpdir(), "tributary-coordinator-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const store = { createRun: async () => 1, addEvent: async () => {}, updateRun: async () => {} };
  const coordinator = new RunCoordinator({ store, blobs: new Blobs(folder) } as unknown as CoordinatorParts);
  const links = (worker: string) => coordinator.snapshot().workers.find(({ id }) => id === worker)!.links;
  const to = (peer: string, bytesPerSecond: number) => ({ peer, bytesPerSecond, delay: 0.01, filled: true });
  const steps = new Promise<void>((resolve) => {
    for (const id of ["a-1", "b-1", "c-1"]) {
      const { port } = fakeWorker(
        id,
        (worker, answer) => coordinator.message(worker, answer),
        (order, answer) => {
          if (order.type !== "step") return answer;
          // The run waits from here on.
          resolve();
          return null;
        },
      );
      coordinator.join(port);
      coordinator.message(id, { type: "speed", speed: SPEED });
    }
  });
  await coordinator.start(tinyConfig());
  await steps;
  coordinator.message("a-1", { ...READY, generation: 2, links: [to("b-1", 7)] });
  coordinator.message("a-1", { ...READY, generation: 0, links: [to("c-1", 7)] });
  expect(links("a-1")).toEqual([]);
  coordinator.message("a-1", { ...READY, links: [to("b-1", 1e6), to("c-1", 2e6), to("nobody", 1)] });
  coordinator.message("b-1", { ...READY, links: [to("a-1", 3e6)] });
  expect(links("a-1")).toEqual([to("b-1", 1e6), to("c-1", 2e6)]);
  // A link that is told of no more stays known: the two may be linked again.
  coordinator.message("a-1", { ...READY, links: [to("c-1", 5e6)] });
  coordinator.message("a-1", READY);
  expect(links("a-1")).toEqual([to("b-1", 1e6), to("c-1", 5e6)]);
  coordinator.leave("b-1", "it left");
  coordinator.join(fakeWorker("b-1", () => {}).port);
  expect(links("a-1")).toEqual([to("c-1", 5e6)]);
  expect(links("b-1")).toEqual([]);
});

test("a run goes on from the model that it began with, though the directory is gone", async () => {
  const folder = mkdtempSync(join(tmpdir(), "tributary-coordinator-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const { model, seed } = tinyConfig();
  const init = join(folder, "model");
  mkdirSync(init);
  writeFileSync(join(init, "config.json"), JSON.stringify(toLlamaConfig(model)));
  const tensors = parameterSpace(model).tensors.map((tensor) => {
    const { name, shape } = tensor;
    return [name, { shape, values: initialTensor(model, tensor, seed) }] as const;
  });
  writeFileSync(join(init, "model.safetensors"), encodeSafetensors(new Map(tensors)));

  const blobs = new Blobs(folder);
  const events: unknown[] = [];
  const config = tinyConfig({ init });
  let id = "";
  const store = {
    createRun: async (run: { id: string }) => {
      ({ id } = run);
      return 1;
    },
    addEvent: async (_run: string, event: unknown) => void events.push(event),
    updateRun: async () => {},
    events: async () => [...events],
    unfinished: async () => ({ id, number: 1, status: "running", config, step: 0, checkpoint: null }),
  };
  const parts = { store, blobs, checkpoints: new Checkpoints(folder, blobs) } as unknown as CoordinatorParts;
  const first = new RunCoordinator(parts);
  await first.start(config);
  first.close();
  rmSync(init, { recursive: true });
  const second = new RunCoordinator(parts);
  await second.goOn();
  expect(second.snapshot().run).toMatchObject({ id, status: "waiting" });
  second.close();
});
