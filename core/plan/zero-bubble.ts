// ZB-H1: 1F1B with each backward in two halves. Only the gradients of inputs are waited for by the stage before; those
// of weights fill what would be idle time.
// Source: Qi, Wan, Huang, Lin, "Zero Bubble Pipeline Parallelism", ICLR 2024 (arXiv 2401.10241), section 2.
// Not here: when a pipeline goes by it (choose-order.ts), and the halves themselves (web/engine/block-backward.ts).
import { inFlight } from "./schedule.ts";
import type { Op } from "./timeline.ts";

/**
 * Operations of a stage in order. Warm-up is that of 1F1B, so the first stage holds as many microbatches as there. The
 * stages behind put gradients of weights off until they hold as many as the first, so no stage holds more than 1F1B's
 * first. Gradients of weights come in microbatch order, as those of 1F1B do: the sums have the same bits.
 */
export function zeroBubble(stage: number, stages: number, microbatches: number): Op[] {
  const warmup = inFlight(stage, stages, microbatches);
  const most = inFlight(0, stages, microbatches);
  const ops: Op[] = [];
  let [forwards, weights] = [0, 0];
  const forward = () => ops.push({ kind: "forward", index: forwards++ });
  const weight = () => ops.push({ kind: "weights", index: weights++ });
  for (let i = 0; i < warmup; i++) forward();
  for (let index = 0; index < microbatches; index++) {
    ops.push({ kind: "input", index });
    const held = forwards - weights;
    if (forwards < microbatches) {
      if (held === most) weight();
      forward();
    } else if (index < microbatches - 1) {
      // Between the last ones, where a forward was before.
      weight();
    }
  }
  for (let left = microbatches - weights; left > 0; left--) weight();
  return ops;
}
