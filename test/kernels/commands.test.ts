// How commands are gathered into submissions, on a device that only takes notes.
import { beforeEach, describe, expect, test, vi } from "vitest";
import { UPLOAD_BYTES } from "../../core/plan/memory.ts";
import { Commands } from "../../web/engine/commands.ts";
import type { Program } from "../../web/engine/program.ts";

const notes: string[] = [];
let finish: () => void = () => {};

const encoder = () => ({
  beginComputePass: () => ({ end: () => {} }),
  copyBufferToBuffer: (from: { name: string }, _: number, to: { name: string }) =>
    notes.push(`copy ${from.name} to ${to.name}`),
  clearBuffer: ({ name }: { name: string }) => notes.push(`clear ${name}`),
  finish: () => {},
});
const device = {
  createCommandEncoder: encoder,
  queue: {
    submit: () => notes.push("submit"),
    writeBuffer: ({ name }: { name: string }) => notes.push(`write ${name}`),
    onSubmittedWorkDone: () => new Promise<void>((resolve) => (finish = resolve)),
  },
} as unknown as GPUDevice;
const buffer = (name: string) => ({ name }) as unknown as GPUBuffer;
const program = (name: string, length: number) =>
  ({ length, replayOne: (i: number) => i === 0 && notes.push(name) }) as unknown as Program;

/** Commands that know what a dispatch takes. */
async function measured(msPerDispatch: number): Promise<Commands> {
  const commands = new Commands(device, buffer("upload"));
  vi.useFakeTimers();
  commands.run(program("first", 5));
  vi.advanceTimersByTime(5 * msPerDispatch);
  finish();
  await vi.advanceTimersByTimeAsync(0);
  vi.useRealTimers();
  notes.length = 0;
  return commands;
}

beforeEach(() => {
  notes.length = 0;
});

describe("commands", () => {
  test("until work was measured, each program is submitted by itself, and a long one in parts", () => {
    const commands = new Commands(device, buffer("upload"));
    commands.run(program("a", 1));
    commands.run(program("b", 8));
    commands.run(program("c", 20));
    expect(notes).toEqual(["a", "submit", "b", "submit", "c", "submit", "submit", "submit"]);
  });

  test("programs, clears and small writes of a step share a submission, in the order they were told", async () => {
    const commands = await measured(0.1);
    commands.clear(buffer("gradient"));
    for (const name of ["a", "b"]) {
      commands.write(buffer("tokens"), 0, new Uint32Array(100));
      commands.run(program(name, 50));
    }
    commands.flush();
    const step = (name: string) => ["write upload", "copy upload to tokens", name];
    expect(notes).toEqual(["clear gradient", ...step("a"), ...step("b"), "submit"]);
  });

  test("a submission ends when it would run longer than 100 ms", async () => {
    const commands = await measured(1);
    for (let i = 0; i < 4; i++) commands.run(program("a", 51));
    expect(notes).toEqual(["a", "a", "submit", "a", "a", "submit"]);
  });

  test("also in the middle of a program", async () => {
    const commands = await measured(30);
    commands.run(program("a", 9));
    commands.flush();
    expect(notes).toEqual(["a", "submit", "submit", "submit"]);
  });

  test("a write with nothing before it, or too large to wait, goes straight to its buffer", async () => {
    const commands = await measured(0.1);
    const large = new Float32Array(UPLOAD_BYTES / 4 + 1);
    commands.write(buffer("x"), 0, large);
    commands.run(program("a", 1));
    commands.write(buffer("x"), 0, large);
    expect(notes).toEqual(["write x", "a", "submit", "write x"]);
  });

  test("nothing told, nothing submitted", async () => {
    const commands = await measured(0.1);
    commands.flush();
    expect(notes).toEqual([]);
  });
});
