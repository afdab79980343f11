// Fills a stage with a state that workers keep of the generation before: from this worker's own memory, or piece by
// piece over links from others. It ends in any case: one that does not give what it should, or is silent, is an error,
// and the run goes on from elsewhere.
// Not here: who takes what from whom (core/plan/moves.ts), what is kept and given (held-state.ts).
import { embeddingSegment, parameterSpace } from "../../core/model/parameters.ts";
import type { ModelConfig } from "../../core/model/config.ts";
import { ARRAYS_OF, STATE_ARRAYS, type StateArray, type Take } from "../../core/plan/moves.ts";
import { piecesOf } from "../../core/reduce/pieces.ts";
import type { Channel } from "./channel.ts";
import { arraysBeside, type HeldState } from "./held-state.ts";
import type { StoredStage } from "./stage-state.ts";

/** Values of a piece: 1 MiB. */
const PIECE = 256 * 1024;
/** Pieces asked for ahead of those that have come: they keep a long line busy. */
const AHEAD = 4;
/** With a worker of which a piece is due and none comes: others may be drawing on its line. */
const PATIENCE_MS = 60_000;

export interface TakeParts {
  readonly self: string;
  readonly model: ModelConfig;
  readonly step: number;
  readonly takes: readonly Take[];
  /** What this worker keeps itself. */
  readonly held: HeldState | null;
  readonly channel: Pick<Channel, "send" | "receive">;
}

interface Piece {
  readonly from: string;
  readonly array: StateArray;
  readonly start: number;
  readonly count: number;
  readonly write: (values: Float32Array) => void;
}

/** @throws Error naming the worker that a part did not come from; GenerationEnded */
export async function takeState(
  stored: Pick<StoredStage, "stage" | "outer" | "unsaid">,
  parts: TakeParts,
): Promise<void> {
  const { self, model, held, takes } = parts;
  const { start: offset, end } = embeddingSegment(parameterSpace(model));
  const borrows = takes.some(({ what }) => what === "embedding");
  // A copy of the tied embedding is written whole.
  const borrowed = { offset, values: new Float32Array(borrows ? end - offset : 0) };
  const pieces = takes.flatMap((take) => requestsFor(stored, take, borrowed)).values();
  const heard = new Map<string, number>();
  let failed = false;
  const work = async () => {
    for (const piece of pieces) {
      const { from, array, start, count, write } = piece;
      const values = from === self ? held?.part(array, start, count) : await request(piece, parts, heard);
      // The stage is given up: it must not be written any more.
      if (failed) return;
      if (values?.length !== count) throw new Error(`worker ${from} does not keep the state it was to give`);
      write(values);
    }
  };
  try {
    await Promise.all(Array.from({ length: AHEAD }, work));
  } catch (error) {
    failed = true;
    throw error;
  }
  if (borrows) stored.stage.writeEmbedding(borrowed.values);
}

/** @param heard when the last piece came, by worker */
async function request(
  { from, array, start, count }: Piece,
  { channel, step }: TakeParts,
  heard: Map<string, number>,
): Promise<Float32Array> {
  const place = { step, microbatch: STATE_ARRAYS.indexOf(array), segment: start };
  channel.send(from, "wanted", place, new Uint32Array(), { shape: [count] });
  let timer: ReturnType<typeof setTimeout> | undefined;
  const asked = performance.now();
  const silence = new Promise<never>((_, reject) => {
    const wait = () => {
      const left = Math.max(asked, heard.get(from) ?? 0) + PATIENCE_MS - performance.now();
      if (left > 0) timer = setTimeout(wait, left);
      else reject(new Error(`worker ${from} gave no state for ${PATIENCE_MS / 1000} s`));
    };
    wait();
  });
  try {
    const values = await Promise.race([channel.receive(from, "state", place), silence]);
    heard.set(from, performance.now());
    return values;
  } finally {
    clearTimeout(timer);
  }
}

function requestsFor(
  { stage, ...beside }: Pick<StoredStage, "stage" | "outer" | "unsaid">,
  { what, from, start, end }: Take,
  borrowed: { readonly offset: number; readonly values: Float32Array },
): Piece[] {
  const arrays = arraysBeside(beside);
  const writeTo = (array: StateArray, values: Float32Array, at: number): void => {
    if (what === "embedding") borrowed.values.set(values, at - borrowed.offset);
    else if (array === "parameters" || array === "m" || array === "v") stage.write(array, values, at);
    else arrays[array]!.set(values, at - stage.segment.start);
  };
  return ARRAYS_OF[what].flatMap((array) =>
    piecesOf({ start, end }, PIECE).map(({ start: at, end }): Piece => {
      return { from, array, start: at, count: end - at, write: (values) => writeTo(array, values, at) };
    }),
  );
}
