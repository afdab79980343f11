// What a stage held at a step, read while, or after, later ones run.
import { expect, onTestFinished, test, vi } from "vitest";
import { Random } from "../../core/random.ts";
import { STAGE_STATES, type Stage } from "../../web/engine/stage.ts";
import type { StageSnapshot } from "../../web/engine/stage-snapshot.ts";
import { randomParameters, smallModel } from "../fixtures/models.ts";
import { gpu } from "./device.ts";
import { filledStage, microbatchOf, specOf } from "./stages.ts";

const MODEL = smallModel({ tied: true });

test("a snapshot holds what stopping at its step would have, whatever steps were told before it is read", async () => {
  const stopped = await trainedStage(3);
  const stage = await trainedStage(3);
  const snapshot = await stage.snapshot();
  for (let step = 4; step <= 8; step++) train(stage, step);
  await stage.finish();
  const values = await valuesOf(snapshot);
  for (const what of STAGE_STATES) {
    expect(values.get(what)).toEqual(await stopped.read(what));
    expect(values.get(what)).not.toEqual(await stage.read(what));
  }
  await expect(snapshot.read("m", () => {})).rejects.toThrow("the snapshot's m was read or dropped");
});

test("it outlives its stage", async () => {
  const stopped = await trainedStage(2);
  const stage = await trainedStage(2);
  const snapshot = await stage.snapshot();
  train(stage, 3);
  stage.destroy();
  const values = await valuesOf(snapshot);
  for (const what of STAGE_STATES) expect(values.get(what)).toEqual(await stopped.read(what));
});

test("without room for copies it is read at once, to the same bits", async () => {
  const stage = await trainedStage(3);
  const expected = await valuesOf(await stage.snapshot());
  const noRoom = vi
    .spyOn(gpu.device, "popErrorScope")
    .mockImplementationOnce(async () => ({ message: "out of memory" }) as GPUError);
  onTestFinished(() => noRoom.mockRestore());
  const snapshot = await stage.snapshot();
  expect(noRoom).toHaveBeenCalledOnce();
  train(stage, 4);
  expect(await valuesOf(snapshot)).toEqual(expected);
});

test("a dropped one is gone, and the stage is none the worse for it", async () => {
  const stage = await trainedStage(1);
  const snapshot = await stage.snapshot();
  const reading = snapshot.read("v", () => {});
  snapshot.drop();
  await expect(reading).rejects.toThrow();
  await expect(snapshot.read("parameters", () => {})).rejects.toThrow(/read or dropped/);
  expect((await stage.read("v")).some((value) => value > 0)).toBe(true);
});

/** After so many steps; equal ones come to equal bits. */
async function trainedStage(steps: number): Promise<Stage> {
  const stage = await filledStage(specOf(MODEL), randomParameters(MODEL, new Random(3)));
  onTestFinished(() => stage.destroy());
  for (let step = 1; step <= steps; step++) train(stage, step);
  return stage;
}

/** Told to the GPU; nothing is waited for. */
function train(stage: Stage, step: number): void {
  const { inputs, targets } = microbatchOf(MODEL, 1, new Random(step));
  stage.zero();
  stage.setTokens(0, inputs, targets);
  stage.forward(0);
  stage.backward(0);
  stage.apply({ step, scale: 0.1, lr: 0.01 });
}

async function valuesOf(snapshot: StageSnapshot): Promise<Map<string, Float32Array>> {
  const values = new Map<string, Float32Array>();
  for (const what of STAGE_STATES) await snapshot.read(what, (view) => values.set(what, view.slice()));
  return values;
}
