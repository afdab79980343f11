// One shape class's candidates side by side: the same problem on the same buffers, timed at the class's own size or
// as much of it as a short dispatch does. Not here: who is timed when and who wins (search.ts).
import { attempt, type Buffers } from "./attempt.ts";
import type { Candidate } from "./candidates.ts";
import type { Gpu } from "../device.ts";
import { KernelRegistry } from "../kernels.ts";
import { hasTimestamps, timePasses } from "../profile.ts";
import { Program, type Operation } from "../program.ts";
import type { Contender, Contest } from "./search.ts";

/** What a contest knows of a kind of kernel. */
export interface Discipline<Variant, Size> {
  /** Whether the variant computes what it should, on a small problem with ragged edges. */
  check(variant: Variant): Promise<boolean>;
  /** Values in each buffer that a run binds. */
  buffers(size: Size): Readonly<Record<string, number>>;
  operations(variant: Variant, size: Size, buffers: Buffers): Operation[];
  multiplications(size: Size): number;
  /** A size with about half as many; null where that would be too small to tell candidates apart. */
  halved(size: Size): Size | null;
}

/** Memory is not what is measured: this is beyond what GPUs keep in caches. */
const MAX_BUFFER_BYTES = 64 * 2 ** 20;
/** What the slowest GPU does in a moment: how fast this one is shows on it. */
const FIRST_MULTIPLICATIONS = 2 ** 27;
/** A run of the first candidate: one that is a hundred times slower still ends before a driver loses patience. */
const LONGEST_RUN_MS = 10;
/** Short runs are repeated for as long: browsers round timestamps, and waiting takes a while of its own. */
const MEASURED_MS = { timestamps: 5, waiting: 40 };
const MAX_REPEATS = 64;

/** @throws when the GPU has no room for it */
export async function openContest<Variant, Size>(
  gpu: Gpu,
  whole: Size,
  candidates: readonly Candidate<Variant>[],
  discipline: Discipline<Variant, Size>,
): Promise<Contest> {
  const { device } = gpu;
  const kernels = KernelRegistry.of(device);
  const measuredMs = MEASURED_MS[hasTimestamps(device) ? "timestamps" : "waiting"];
  const sizes = sizesOf(whole, discipline);
  // Zeros: no kernel's time depends on values.
  const buffers = await attempt(gpu, async () =>
    Object.entries(discipline.buffers(sizes[0])).map(([name, values]) => {
      const buffer = device.createBuffer({ size: values * 4, usage: GPUBufferUsage.STORAGE });
      return [name, { buffer }] as const;
    }),
  );
  if (!buffers) throw new Error("this GPU has no room for a search");
  const bindings = Object.fromEntries(buffers);
  let size: Size = sizes[sizes.length - 1];
  const record = (variant: Variant) =>
    Program.record(device, kernels, discipline.operations(variant, size, bindings));
  const run = async (program: Program, times: number) => {
    const [ms] = await timePasses(device, [
      (pass) => {
        for (let i = 0; i < times; i++) program.replay(pass);
      },
    ]);
    return ms / times;
  };

  let repeats = 0;
  /** Finds the size and the repeats that suit this GPU, by the first candidate that comes. */
  const fit = async (variant: Variant) => {
    let program = await record(variant);
    // The first run also clears the buffers.
    await run(program, 1);
    let ms = await run(program, 1);
    for (const larger of sizes.toReversed().slice(1)) {
      const growth = discipline.multiplications(larger) / discipline.multiplications(size);
      if (ms * growth > LONGEST_RUN_MS) break;
      size = larger;
      program = await record(variant);
      ms = await run(program, 1);
    }
    repeats = 1;
    while (ms * repeats < measuredMs && repeats < MAX_REPEATS) {
      repeats *= 2;
      ms = await run(program, repeats);
    }
  };
  const contender = ({ name, variant }: Candidate<Variant>): Contender => {
    let program: Program | null = null;
    return {
      name,
      check: async () => (await attempt(gpu, () => discipline.check(variant))) === true,
      time: () =>
        attempt(gpu, async () => {
          if (repeats === 0) await fit(variant);
          program ??= await record(variant);
          return run(program, repeats);
        }),
    };
  };
  return {
    contenders: candidates.map(contender),
    close: () => {
      for (const [, { buffer }] of buffers) buffer.destroy();
    },
  };
}

/** From the largest that fits in memory to one that any GPU does in a moment. */
function sizesOf<Variant, Size>(
  whole: Size,
  { buffers, multiplications, halved }: Discipline<Variant, Size>,
): Size[] {
  const sizes: Size[] = [];
  for (let size: Size | null = whole; size !== null; size = halved(size)) {
    if (4 * Math.max(...Object.values(buffers(size))) <= MAX_BUFFER_BYTES) sizes.push(size);
    if (sizes.length > 0 && multiplications(size) <= FIRST_MULTIPLICATIONS) break;
  }
  return sizes;
}
