// How fast a worker computes and a link carries, as measured or as a description of machines says.
// Not here: who measures it (the worker page), or what follows for a plan.
import { z } from "zod";

const positive = z.number().positive();

export const WorkerSpeed = z.strictObject({
  /** FLOP/s of blocks, forward and backward alike; FLOPs as `blockFlops` counts them, the backward twice the forward. */
  block: positive,
  /** FLOP/s of the head: projection, loss, and the backward of both. */
  head: positive,
  /** Seconds that one microbatch's forward or backward takes a stage however little there is to compute. */
  overhead: z.number().min(0),
  /** Bytes of GPU memory that a stage may take. */
  memory: positive,
});
export type WorkerSpeed = z.infer<typeof WorkerSpeed>;

export const LinkSpeed = z.strictObject({
  bytesPerSecond: positive,
  /** One way, seconds. */
  delay: z.number().min(0),
});
export type LinkSpeed = z.infer<typeof LinkSpeed>;

/** A link as it was measured. `filled`: frames have filled it; else it is no slower than that, and may be much faster. */
export const LinkFigure = LinkSpeed.extend({ filled: z.boolean() });
export type LinkFigure = z.infer<typeof LinkFigure>;

/** Of a worker's link, towards the worker `peer`. */
export const PeerSpeed = LinkFigure.extend({ peer: z.string().max(100) });
export type PeerSpeed = z.infer<typeof PeerSpeed>;
