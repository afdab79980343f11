// What a stage goes on from, as it was between two steps, to be read while later ones run. The GPU sets copies aside in
// its turn, so that nobody waits for them, in buffers made for the CPU to read: they take the system's memory, not the
// GPU's own.
// Not here: what becomes of it (web/worker/stage-state.ts).
import type { Commands } from "./commands.ts";
import type { StageState } from "./stage.ts";
import { waitFor } from "./waiting.ts";

export class StageSnapshot {
  readonly #queue: GPUQueue;
  /** Not yet read. */
  readonly #copies: Map<StageState, GPUBuffer | Float32Array>;

  private constructor(queue: GPUQueue, copies: Map<StageState, GPUBuffer | Float32Array>) {
    this.#queue = queue;
    this.#copies = copies;
  }

  /** Where there is no room for copies, `read` reads the stage itself, and is waited for. */
  static async take(
    device: GPUDevice,
    commands: Commands,
    buffers: ReadonlyMap<StageState, GPUBuffer>,
    read: (what: StageState) => Promise<Float32Array>,
  ): Promise<StageSnapshot> {
    const usage = GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST;
    device.pushErrorScope("out-of-memory");
    const copies = Array.from(
      buffers,
      ([what, { size }]) => [what, device.createBuffer({ label: `snapshot ${what}`, size, usage })] as const,
    );
    if (!(await device.popErrorScope())) {
      for (const [what, copy] of copies) commands.copy(buffers.get(what)!, 0, copy, 0, copy.size);
      commands.flush();
      return new StageSnapshot(device.queue, new Map(copies));
    }
    for (const [, copy] of copies) copy.destroy();
    const arrays = new Map<StageState, Float32Array>();
    for (const what of buffers.keys()) arrays.set(what, await read(what));
    return new StageSnapshot(device.queue, arrays);
  }

  /** Lets `use` have the values, which are gone when it returns. Each can be read once. */
  async read(what: StageState, use: (values: Float32Array) => void): Promise<void> {
    const copy = this.#copies.get(what);
    if (!copy) throw new Error(`the snapshot's ${what} was read or dropped`);
    if (copy instanceof Float32Array) use(copy);
    else {
      await waitFor(this.#queue, copy.mapAsync(GPUMapMode.READ));
      use(new Float32Array(copy.getMappedRange()));
      copy.destroy();
    }
    this.#copies.delete(what);
  }

  /** Frees what was not read. */
  drop(): void {
    for (const copy of this.#copies.values()) if (!(copy instanceof Float32Array)) copy.destroy();
    this.#copies.clear();
  }
}
