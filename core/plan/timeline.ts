// When a pipeline's stages do what: a step played through exactly, with frames that queue on their links and arrive
// later than they were sent, while the next operations run.
// Not here: the order of a stage's operations (schedule.ts, zero-bubble.ts), what they take (cost.ts).

/** `backward` as a whole, or in its two halves: gradients of the `input`, and of the `weights`. */
export type OpKind = "forward" | "backward" | "input" | "weights";

export interface Op {
  readonly kind: OpKind;
  /** Position in the replica's list of microbatches. */
  readonly index: number;
}

export interface TimedOp extends Op {
  /** Seconds from the step's beginning. */
  readonly start: number;
  readonly end: number;
}

export interface PipelineTimes {
  /** Of an operation of stage `stage`. */
  readonly seconds: (stage: number, kind: OpKind) => number;
  /** A frame on a hop: seconds that it keeps the link busy, and that it takes beyond. */
  readonly wire: number;
  readonly delay: number;
}

/** The operations of each stage with their times, in order. @throws RangeError when stages wait for each other */
export function playPipeline(
  orders: readonly (readonly Op[])[],
  { seconds, wire, delay }: PipelineTimes,
): TimedOp[][] {
  const timed: TimedOp[][] = orders.map(() => []);
  /** When a stage has the activation, or the gradient, of a microbatch. */
  const activations: number[][] = orders.map(() => []);
  const gradients: number[][] = orders.map(() => []);
  /** When the link to the next stage, and that to the previous one, has sent what it was given. */
  const onward = orders.map(() => 0);
  const back = orders.map(() => 0);
  const last = orders.length - 1;
  const ready = (stage: number, { kind, index }: Op): number | undefined => {
    if (kind === "forward") return stage === 0 ? 0 : activations[stage]![index];
    return stage === last || kind === "weights" ? 0 : gradients[stage]![index];
  };
  const send = (stage: number, { kind, index }: Op, end: number) => {
    if (kind === "forward" && stage < last) {
      onward[stage] = Math.max(onward[stage]!, end) + wire;
      activations[stage + 1]![index] = onward[stage]! + delay;
    } else if ((kind === "backward" || kind === "input") && stage > 0) {
      back[stage] = Math.max(back[stage]!, end) + wire;
      gradients[stage - 1]![index] = back[stage]! + delay;
    }
  };
  for (let moved = true; moved;) {
    moved = false;
    for (const [stage, order] of orders.entries()) {
      const done = timed[stage]!;
      for (let op = order[done.length]; op; op = order[done.length]) {
        const from = ready(stage, op);
        if (from === undefined) break;
        const start = Math.max(from, done.at(-1)?.end ?? 0);
        const end = start + seconds(stage, op.kind);
        done.push({ ...op, start, end });
        send(stage, op, end);
        moved = true;
      }
    }
  }
  if (timed.some((done, stage) => done.length < orders[stage]!.length)) {
    throw new RangeError("the stages wait for each other: check their orders");
  }
  return timed;
}

/** When the last operation of all ends. */
export const endOf = (timeline: readonly (readonly TimedOp[])[]): number =>
  Math.max(0, ...timeline.map((ops) => ops.at(-1)?.end ?? 0));
