// How many blocks a worker's memory takes, by the place of its stage in a pipeline: memory.ts, asked very often.
import type { RunConfig } from "../model/config.ts";
import { stageBytes, type StageSpec } from "./memory.ts";
import { inFlight } from "./schedule.ts";

export class StageMemory {
  readonly #config: RunConfig;
  /** Bytes with one slot, and what each further one adds, by blocks, ends and whether split. Slots are alike: exact. */
  readonly #sizes: { one: number; more: number }[] = [];

  constructor(config: RunConfig) {
    this.#config = config;
  }

  /** Of a pipeline that may take all microbatches of a step: a smaller share never needs more. `split`: in ZB-H1. */
  bytes(stage: number, stages: number, blocks: number, split = false): number {
    const { batch, microbatch } = this.#config;
    const slots = inFlight(split ? 0 : stage, stages, batch / microbatch) + (stages > 1 ? 1 : 0);
    const { one, more } = this.#size(stage === 0, stage === stages - 1, blocks, split);
    return one + (slots - 1) * more;
  }

  /** The most blocks, of those that the stage can have at all, that fit in `memory` bytes; 0 when not even one does. */
  mostBlocks(stage: number, stages: number, memory: number): number {
    let [fits, above] = [0, this.#config.model.layers - (stages - 1) + 1];
    if (memory >= this.bytes(stage, stages, above - 1)) return above - 1;
    while (above - fits > 1) {
      const middle = (fits + above) >> 1;
      if (this.bytes(stage, stages, middle) <= memory) fits = middle;
      else above = middle;
    }
    return fits;
  }

  #size(embed: boolean, head: boolean, blocks: number, split: boolean): { one: number; more: number } {
    const key = blocks * 8 + (split ? 4 : 0) + (embed ? 2 : 0) + (head ? 1 : 0);
    return (this.#sizes[key] ??= this.#measure(embed, head, blocks, split));
  }

  #measure(embed: boolean, head: boolean, blocks: number, split: boolean): { one: number; more: number } {
    const { model, microbatch, recompute, precision, optimizer } = this.#config;
    const first = embed ? 0 : head ? model.layers - blocks : 1;
    const range = { first, last: first + blocks, embed, head };
    const spec: StageSpec = { model, range, microbatch, slots: 1, recompute, split, precision, optimizer };
    const one = stageBytes(spec);
    return { one, more: stageBytes({ ...spec, slots: 2 }) - one };
  }
}
