// Error feedback (Seide et al., 2014): what an encoding leaves out of a range's values is kept and added to the values
// that are sent next, so that over time everything is said.
// Not here: where the remainder is kept between runs, or the same on a GPU (web/engine/quantise.ts).
import type { Codec } from "./codec.ts";
import { decoded, encoded, type Encoded } from "./transport.ts";

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
