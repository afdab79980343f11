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

/** Of a worker's link, towards the worker `peer`. */
export const PeerSpeed = LinkSpeed.extend({ peer: z.string().max(100) });
export type PeerSpeed = z.infer<typeof PeerSpeed>;
