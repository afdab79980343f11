// The state of a stage in this worker's memory between two generations: kept from the end of one until the next has
// begun, for this worker itself and for others that take the stage over, or a part of it.
// Not here: who takes what from whom (core/plan/moves.ts), taking it (take-state.ts).
import { STATE_ARRAYS, type StateArray } from "../../core/plan/moves.ts";
import { encodeFrame, type Frame } from "../../core/protocol/frame.ts";
import type { Segment } from "../../core/model/parameters.ts";
import { STAGE_STATES } from "../engine/stage.ts";
import type { StoredStage } from "./stage-state.ts";

/** What stands beside what the GPU holds. */
export function arraysBeside({
  outer,
  unsaid,
}: Pick<StoredStage, "outer" | "unsaid">): Partial<Record<StateArray, Float32Array<ArrayBuffer>>> {
  return {
    ...(outer && { anchor: outer.anchor, momentum: outer.momentum }),
    ...(unsaid && { terms: unsaid.terms, sums: unsaid.sums }),
  };
}

export class HeldState {
  readonly run: number;
  /** Whose plan says what is held. */
  readonly generation: number;
  readonly #segment: Segment;
  readonly #arrays: Partial<Record<StateArray, Float32Array>>;

  private constructor(
    { run, generation }: { run: number; generation: number },
    segment: Segment,
    arrays: Partial<Record<StateArray, Float32Array>>,
  ) {
    this.run = run;
    this.generation = generation;
    this.#segment = segment;
    this.#arrays = arrays;
  }

  /** Reads it back. What stands beside the stage becomes this state's. */
  static async of(
    stored: Pick<StoredStage, "stage" | "outer" | "unsaid">,
    of: { run: number; generation: number },
  ): Promise<HeldState> {
    const { stage } = stored;
    const arrays: Partial<Record<StateArray, Float32Array>> = arraysBeside(stored);
    for (const what of STAGE_STATES) arrays[what] = await stage.read(what);
    return new HeldState(of, stage.segment, arrays);
  }

  /** A view of `count` values from offset `start` of the canonical flat space on; undefined where they are not held. */
  part(array: StateArray | undefined, start: number, count: number): Float32Array | undefined {
    const isHeld = start >= this.#segment.start && start + count <= this.#segment.end;
    const first = start - this.#segment.start;
    return isHeld && array ? this.#arrays[array]?.subarray(first, first + count) : undefined;
  }
}

/** The frame that answers a `wanted` frame. */
export function answerWanted(held: HeldState | null, wanted: Frame): ArrayBuffer {
  const { run, segment, microbatch, shape } = wanted;
  const found = held?.run === run ? held.part(STATE_ARRAYS[microbatch], segment, shape[0]) : undefined;
  const payload = found ?? new Float32Array();
  return encodeFrame({ ...wanted, kind: "state", dtype: "f32", shape: [payload.length, 0, 0], payload });
}
