// The order in which a replica's stages work, as its plan says.
// Not here: the orders themselves (schedule.ts, zero-bubble.ts), and when which is chosen (choose-order.ts).
import type { Replica } from "./plan.ts";
import { oneForwardOneBackward } from "./schedule.ts";
import type { Op } from "./timeline.ts";
import { zeroBubble } from "./zero-bubble.ts";

/** Operations of stage `stage`. */
export function orderOf({ stages, microbatches, ...replica }: Replica, stage: number): Op[] {
  const order = replica.zeroBubble ? zeroBubble : oneForwardOneBackward;
  return order(stage, stages.length, microbatches.length);
}
