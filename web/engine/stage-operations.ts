// The operations of a stage, laid out over its buffers: what its programs are recorded from.
// Not here: the operations of a block and of the head (block.ts, block-backward.ts, head.ts), and running them (stage.ts).
import {
  borrowsEmbedding,
  EMBEDDING,
  FINAL_NORM,
  HEAD,
  TENSOR_ALIGNMENT,
  type Segment,
  type Tensor,
} from "../../core/model/parameters.ts";
import { arrayOf, NORM_PARTS, WINDOW_ALIGNMENT, type StageSpec } from "../../core/plan/memory.ts";
import { blockBackward, blockBackwardInput, blockBackwardWeights } from "./block-backward.ts";
import { blockAgain, blockForward, type BlockBuffers, type KeptArray } from "./block.ts";
import { headLoss, headLossAndGradient, rowLogits, type HeadBuffers } from "./head.ts";
import { accumulate, adamw, embedding, embeddingBackward, squaredNorm, toHalves } from "./operations.ts";
import type { Binding, Operation, Stretch } from "./program.ts";
import type { Tuning } from "./tuning.ts";

export interface StageMemory {
  /** The owned range of the canonical flat space, and its tensors by name. */
  readonly segment: Segment;
  readonly tensors: ReadonlyMap<string, Tensor>;
  /** Buffers by their names in core/plan/memory.ts. */
  readonly buffers: ReadonlyMap<string, GPUBuffer>;
  /** The device's maxStorageBufferBindingSize, bytes. */
  readonly maxBinding: number;
  readonly tuning: Tuning;
}

/** Where gradients of weights are made before anything else, nothing has to be moved for them. */
const KEPT_IN_SCRATCH: Readonly<Record<KeptArray, string>> = {
  dOutput: "stream",
  dMiddle: "stream",
  dqkv: "dqkv",
  act: "act",
};

export class StageOperations {
  readonly #spec: StageSpec;
  readonly #segment: Segment;
  readonly #tensors: ReadonlyMap<string, Tensor>;
  readonly #buffers: ReadonlyMap<string, GPUBuffer>;
  readonly #maxBinding: number;
  readonly #tuning: Tuning;

  constructor(spec: StageSpec, { segment, tensors, buffers, maxBinding, tuning }: StageMemory) {
    this.#spec = spec;
    this.#segment = segment;
    this.#tensors = tensors;
    this.#buffers = buffers;
    this.#maxBinding = maxBinding;
    this.#tuning = tuning;
  }

  /** One microbatch forward; with `gradient` the head also does its backward. */
  forward(slot: number, gradient: boolean): Operation[] {
    const { model, range, microbatch } = this.#spec;
    const operations: Operation[] = [];
    if (range.embed) {
      const x = this.#whole(`slot${slot}.block${range.first}.x`);
      const rows = { R: this.#spec.microbatch * this.#spec.model.context, C: model.width };
      operations.push(embedding(rows, this.#whole(`slot${slot}.tokens`), this.#parameter(EMBEDDING), x));
    }
    for (let block = range.first; block < range.last; block++) {
      operations.push(...blockForward(model, microbatch, this.#blockBuffers(slot, block), this.#tuning));
    }
    if (range.head) {
      const head = gradient ? headLossAndGradient : headLoss;
      operations.push(...head(model, microbatch, this.#headBuffers(slot), this.#tuning));
    }
    return operations;
  }

  /**
   * One microbatch backward from `stream`, adding to the parameters' gradients: whole, or in two halves, of which the
   * second has the gradients of blocks' weights.
   */
  backward(slot: number): Operation[][] {
    return this.#spec.split
      ? [this.#backward(slot, blockBackwardInput), this.#backwardWeights(slot)]
      : [this.#backward(slot, blockBackward)];
  }

  /** Logits of the row in `probe`, where the stage has the head. */
  rowLogits(): Operation[] {
    return rowLogits(this.#spec.model, this.#headBuffers(0), this.#tuning);
  }

  /** AdamW over what the stage owns. */
  optimizer(): Operation[] {
    return this.windows().map(({ first, count }) =>
      adamw(count, {
        gradient: this.#part("gradient", first, count),
        update: this.#whole("update"),
        decay: this.#part("decay", first / TENSOR_ALIGNMENT / 32, Math.ceil(count / TENSOR_ALIGNMENT / 32)),
        parameters: this.#part("parameters", first, count),
        m: this.#part("m", first, count),
        v: this.#part("v", first, count),
      }),
    );
  }

  /** Renews what products read of the weights, where that is a copy in f16. */
  renewHalves(): Operation[] {
    const operations = this.windows().map(({ first, count }) => {
      const parameters = this.#part("parameters", first, count);
      return toHalves(count, parameters, this.#inHalves(parameters));
    });
    const { model, range } = this.#spec;
    if (borrowsEmbedding(model, range)) {
      const [borrowed, halves] = [this.#whole("borrowed"), this.#whole("borrowedHalves")];
      operations.push(toHalves(model.vocab * model.width, borrowed, halves));
    }
    return operations;
  }

  /** Squared norm of the owned gradient, in NORM_PARTS parts a window. */
  squaredNorm(): Operation[] {
    return this.windows().map(({ first, count }, i) =>
      squaredNorm(
        count,
        this.#part("gradient", first, count),
        this.#part("partials", i * NORM_PARTS, NORM_PARTS),
      ),
    );
  }

  /** The gradient of a lent embedding joins the embedding's own. */
  addLent(): Operation[] {
    const { vocab, width } = this.#spec.model;
    return [accumulate(vocab * width, this.#whole("lent"), this.#gradientOf(EMBEDDING))];
  }

  /** The owned segment cut into stretches that each fit a storage binding. */
  windows(): { first: number; count: number }[] {
    const limit = this.#maxBinding / 4;
    const longest = Math.floor(limit / WINDOW_ALIGNMENT) * WINDOW_ALIGNMENT;
    const size = this.#segment.end - this.#segment.start;
    const windows = [];
    for (let first = 0; first < size; first += longest) {
      windows.push({ first, count: Math.min(longest, size - first) });
    }
    return windows;
  }

  #backward(slot: number, ofBlock: typeof blockBackward): Operation[] {
    const { model, range, microbatch, recompute } = this.#spec;
    const operations: Operation[] = [];
    for (let block = range.last - 1; block >= range.first; block--) {
      const buffers = this.#blockBuffers(slot, block);
      if (recompute) operations.push(...blockAgain(model, microbatch, buffers, this.#tuning));
      operations.push(...ofBlock(model, microbatch, buffers, this.#tuning));
    }
    if (range.embed) {
      const rows = { R: this.#spec.microbatch * this.#spec.model.context, C: model.width };
      const segments = this.#whole(`slot${slot}.segments`);
      operations.push(embeddingBackward(rows, segments, this.#whole("stream"), this.#gradientOf(EMBEDDING)));
    }
    return operations;
  }

  #backwardWeights(slot: number): Operation[] {
    const { model, range, microbatch } = this.#spec;
    const operations: Operation[] = [];
    for (let block = range.last - 1; block >= range.first; block--) {
      const buffers = this.#blockBuffers(slot, block);
      operations.push(...blockBackwardWeights(model, microbatch, buffers, this.#tuning));
    }
    return operations;
  }

  #whole(name: string): Binding {
    return { buffer: this.#buffers.get(arrayOf(name))! };
  }

  #part(name: string, first: number, count: number): Stretch {
    return { buffer: this.#buffers.get(name)!, offset: first * 4, size: count * 4 };
  }

  #parameter(first: string, last = first): Stretch {
    return this.#tensorsFrom("parameters", first, last);
  }

  /** As products read it. */
  #weight(first: string, last = first): Binding {
    const parameter = this.#parameter(first, last);
    return this.#readsHalves ? this.#inHalves(parameter) : parameter;
  }

  /** The same stretch of the parameters' copy in f16. */
  #inHalves({ offset, size }: Stretch): Stretch {
    return { buffer: this.#buffers.get("halves")!, offset: offset / 2, size: size / 2, halves: true };
  }

  get #readsHalves(): boolean {
    return this.#spec.precision === "f16";
  }

  #gradientOf(first: string, last = first): Binding {
    return this.#tensorsFrom("gradient", first, last);
  }

  #tensorsFrom(buffer: string, first: string, last: string): Stretch {
    const { offset } = this.#tensors.get(first)!;
    const end = this.#tensors.get(last)!;
    return this.#part(buffer, offset - this.#segment.start, end.offset + end.size - offset);
  }

  #blockBuffers(slot: number, block: number): BlockBuffers {
    const name = (end: string) => `model.layers.${block}.${end}.weight`;
    const names = (first: string, last = first) => [name(first), name(last)] as const;
    const isLast = block === this.#spec.range.last - 1;
    return {
      scratch: (scratch) => this.#whole(scratch),
      saved: (saved) => {
        const kept = saved === "x" || !this.#spec.recompute;
        const array = this.#whole(kept ? `slot${slot}.block${block}.${saved}` : `again.${saved}`);
        return saved === "qkv" && this.#readsHalves ? { ...array, halves: true } : array;
      },
      kept: (kept) => {
        if (!this.#spec.split) return this.#whole(KEPT_IN_SCRATCH[kept]);
        return this.#whole(`slot${slot}.block${block}.${kept === "dqkv" ? "qkv" : kept}`);
      },
      gain: (gain) => this.#parameter(name(gain)),
      weight: (first, last) => this.#weight(...names(first, last)),
      gradient: (first, last) => this.#gradientOf(...names(first, last)),
      output: this.#whole(isLast ? `slot${slot}.y` : `slot${slot}.block${block + 1}.x`),
    };
  }

  #headBuffers(slot: number): HeadBuffers {
    const { model, range } = this.#spec;
    const borrowed = borrowsEmbedding(model, range);
    const projection = model.tied ? EMBEDDING : HEAD;
    const lent = (): Binding =>
      this.#readsHalves ? { ...this.#whole("borrowedHalves"), halves: true } : this.#whole("borrowed");
    return {
      scratch: (name) => this.#whole(name),
      x: this.#whole(`slot${slot}.y`),
      targets: this.#whole(`slot${slot}.targets`),
      gain: this.#parameter(FINAL_NORM),
      gainGradient: this.#gradientOf(FINAL_NORM),
      projection: borrowed ? lent() : this.#weight(projection),
      projectionGradient: borrowed ? this.#whole("borrowedGradient") : this.#gradientOf(projection),
    };
  }
}
