// The operations of a stage, laid out over its buffers: what its programs are recorded from.
// Not here: the operations of a block and of the head (block.ts, head.ts), and running them (stage.ts).
import {
  borrowsEmbedding,
  EMBEDDING,
  FINAL_NORM,
  HEAD,
  TENSOR_ALIGNMENT,
  type Segment,
  type Tensor,
} from "../../core/model/parameters.ts";
import { blockBackward, blockForward, type BlockBuffers } from "./block.ts";
import { headBackward, headForward, type HeadBuffers } from "./head.ts";
import { WINDOW_ALIGNMENT, type StageSpec } from "./memory.ts";
import { accumulate, adamw, embedding, embeddingBackward, NORM_PARTS, squaredNorm } from "./operations.ts";
import type { Binding, Operation } from "./program.ts";

export interface StageMemory {
  /** The owned range of the canonical flat space, and its tensors by name. */
  readonly segment: Segment;
  readonly tensors: ReadonlyMap<string, Tensor>;
  /** Buffers by their names in memory.ts. */
  readonly buffers: ReadonlyMap<string, GPUBuffer>;
  /** The device's maxStorageBufferBindingSize, bytes. */
  readonly maxBinding: number;
}

export class StageOperations {
  readonly #spec: StageSpec;
  readonly #segment: Segment;
  readonly #tensors: ReadonlyMap<string, Tensor>;
  readonly #buffers: ReadonlyMap<string, GPUBuffer>;
  readonly #maxBinding: number;

  constructor(spec: StageSpec, { segment, tensors, buffers, maxBinding }: StageMemory) {
    this.#spec = spec;
    this.#segment = segment;
    this.#tensors = tensors;
    this.#buffers = buffers;
    this.#maxBinding = maxBinding;
  }

  /** One microbatch forward; with `gradient` the head also makes what its backward needs. */
  forward(slot: number, gradient: boolean): Operation[] {
    const { model, range, microbatch } = this.#spec;
    const operations: Operation[] = [];
    if (range.embed) {
      const x = this.#whole(`slot${slot}.block${range.first}.x`);
      const rows = { R: this.#spec.microbatch * this.#spec.model.context, C: model.width };
      operations.push(embedding(rows, this.#whole(`slot${slot}.tokens`), this.#parameter(EMBEDDING), x));
    }
    for (let block = range.first; block < range.last; block++) {
      operations.push(...blockForward(model, microbatch, this.#blockBuffers(slot, block)));
    }
    if (range.head) operations.push(...headForward(model, microbatch, this.#headBuffers(slot), gradient));
    return operations;
  }

  /** One microbatch backward, adding to the parameters' gradients. */
  backward(slot: number): Operation[] {
    const { model, range, microbatch } = this.#spec;
    const operations: Operation[] = [];
    if (range.head) operations.push(...headBackward(model, microbatch, this.#headBuffers(slot)));
    for (let block = range.last - 1; block >= range.first; block--) {
      operations.push(...blockBackward(model, microbatch, this.#blockBuffers(slot, block)));
    }
    if (range.embed) {
      const rows = { R: this.#spec.microbatch * this.#spec.model.context, C: model.width };
      const segments = this.#whole(`slot${slot}.segments`);
      operations.push(embeddingBackward(rows, segments, this.#whole("stream"), this.#gradientOf(EMBEDDING)));
    }
    return operations;
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

  #whole(name: string): Binding {
    return { buffer: this.#buffers.get(name)! };
  }

  #part(name: string, first: number, count: number): Binding {
    return { buffer: this.#buffers.get(name)!, offset: first * 4, size: count * 4 };
  }

  #parameter(name: string): Binding {
    const { offset, size } = this.#tensors.get(name)!;
    return this.#part("parameters", offset - this.#segment.start, size);
  }

  #gradientOf(name: string): Binding {
    const { offset, size } = this.#tensors.get(name)!;
    return this.#part("gradient", offset - this.#segment.start, size);
  }

  #blockBuffers(slot: number, block: number): BlockBuffers {
    const name = (end: string) => `model.layers.${block}.${end}.weight`;
    const isLast = block === this.#spec.range.last - 1;
    return {
      scratch: (scratch) => this.#whole(scratch),
      saved: (saved) => this.#whole(`slot${slot}.block${block}.${saved}`),
      weight: (end) => this.#parameter(name(end)),
      gradient: (end) => this.#gradientOf(name(end)),
      output: this.#whole(isLast ? `slot${slot}.y` : `slot${slot}.block${block + 1}.x`),
    };
  }

  #headBuffers(slot: number): HeadBuffers {
    const { model, range } = this.#spec;
    const borrowed = borrowsEmbedding(model, range);
    const projection = model.tied ? EMBEDDING : HEAD;
    return {
      scratch: (name) => this.#whole(name),
      x: this.#whole(`slot${slot}.y`),
      targets: this.#whole(`slot${slot}.targets`),
      gain: this.#parameter(FINAL_NORM),
      gainGradient: this.#gradientOf(FINAL_NORM),
      projection: borrowed ? this.#whole("borrowed") : this.#parameter(projection),
      projectionGradient: borrowed ? this.#whole("borrowedGradient") : this.#gradientOf(projection),
    };
  }
}
