// The GPU that kernel tests run on: the browser's, or in Node Dawn's (the `webgpu` package). One device a file.
import { afterAll, afterEach, expect } from "vitest";
import { openGpu } from "../../web/engine/device.ts";

/** Kept for the life of the process: a GPU object that is collected takes its devices with it. */
const instances: GPU[] = [];

export const instance: GPU = globalThis.navigator?.gpu ?? (await dawn());

/** Dawn in Node, with experimental features, as Chromium has them with --enable-unsafe-webgpu. */
export async function dawn(options: readonly string[] = []): Promise<GPU> {
  // A name that bundlers do not follow into the browser.
  const name = "webgpu";
  const { create, globals } = (await import(/* @vite-ignore */ name)) as typeof import("webgpu");
  Object.assign(globalThis, globals);
  const instance = create(["enable-dawn-features=allow_unsafe_apis", ...options]);
  instances.push(instance);
  return instance;
}

export const gpu = await openGpu(instance);

const errors: string[] = [];
gpu.device.addEventListener("uncapturederror", ({ error }) => errors.push(error.message));

/** Mistakes that WebGPU reports beside the result fail the test they happen in. */
afterEach(async () => {
  await gpu.device.queue.onSubmittedWorkDone();
  expect(errors.splice(0)).toEqual([]);
});

afterAll(() => gpu.device.destroy());
