// Error feedback (Seide et al., 2014): what an encoding leaves out of a range's values is kept and added to the values
// that are sent next, so that over time everything is said.
// Not here: where the remainder is kept between runs, or the same on a GPU (web/engine/quantise.ts).
import { partOf, type Segment } from "../model/parameters.ts";
import type { Codec } from "./codec.ts";
import { decoded, encoded, type Encoded } from "./transport.ts";

/** What encoding has left unsaid of a segment's values: joined to what is said next. Updated in place. */
export interface Feedback {
  /** Of this site's terms for the others. */
  readonly terms: Float32Array;
  /** Of the sums that this worker takes. */
  readonly sums: Float32Array;
}

/** What encoding leaves unsaid of the gradients, or pseudo-gradients, of what a stage owns. */
export class UnsaidGradients implements Feedback {
  readonly segment: Segment;
  readonly terms: Float32Array<ArrayBuffer>;
  readonly sums: Float32Array<ArrayBuffer>;

  /** All zero. */
  constructor(segment: Segment) {
    this.segment = segment;
    this.terms = new Float32Array(segment.end - segment.start);
    this.sums = new Float32Array(segment.end - segment.start);
  }

  /** Views of a part of the segment. */
  of(part: Segment): Feedback {
    return { terms: partOf(this.terms, this.segment, part), sums: partOf(this.sums, this.segment, part) };
  }
}

/**
 * Encodes `values` with what was left out before; `residual`, a value each, becomes what is left out now. Where a
 * block is not a number, so is what is left of it.
 */
export function encodeWithFeedback(codec: Codec, values: Float32Array, residual: Float32Array): Encoded {
  const wanted = new Float32Array(values.length);
  for (let i = 0; i < wanted.length; i++) wanted[i] = values[i]! + residual[i]!;
  const result = encoded(codec, wanted);
  const said = decoded(result);
  for (let i = 0; i < wanted.length; i++) residual[i] = wanted[i]! - said[i]!;
  return result;
}
