// Events of a run, as `--json` prints them and viewers receive them, and what viewers see of workers and runs.
import { z } from "zod";
import { RunConfig } from "../model/config.ts";
import { PeerSpeed, WorkerSpeed } from "../plan/speed.ts";

const index = z.number().int().min(0);
const loss = z.number().nullable();
const bytesByPurpose = z.record(z.string(), index);

const share = z.number().min(0).max(1).nullable();

/** What one worker has sent over data channels, and its share of time at work. */
export const WorkerTally = z.strictObject({ siteBytes: index, wideBytes: index, computing: share });
export type WorkerTally = z.infer<typeof WorkerTally>;

const tallies = {
  byWorker: z.record(z.string(), WorkerTally).default({}),
  /** Share of their time in which workers computed; of an exchange's between sites in which they did meanwhile. */
  computing: share.default(null),
  overlapped: share.default(null),
};

export const StepEvent = z.strictObject({
  event: z.literal("step"),
  step: index,
  /** Mean over the tokens of the global batch, nats. */
  loss: z.number(),
  /** Global L2 norm of the mean gradient, before clipping. */
  gradNorm: z.number(),
  /** Tokens of this step. */
  tokens: index,
  /** Wall-clock of this step. */
  seconds: z.number(),
});
export type StepEvent = z.infer<typeof StepEvent>;

export const DoneEvent = z.strictObject({
  event: z.literal("done"),
  run: z.string(),
  steps: index,
  loss,
  validLoss: loss,
  /** Bytes put on data channels inside sites and between sites, of which by purpose. */
  siteBytes: index,
  wideBytes: index,
  siteBytesBy: bytesByPurpose,
  wideBytesBy: bytesByPurpose,
  ...tallies,
  /** Payload that activations and their gradients need on site links, worked out from the plan. */
  activationBytesNeeded: index,
  stepsRetried: index,
  /** Steps that a site left out because it was slower than the others (strategy `rounds`). */
  stepsLeftOut: index.default(0),
  workersLost: index,
  checkpoint: z.string().nullable(),
});
export type DoneEvent = z.infer<typeof DoneEvent>;

export const RunEvent = z.discriminatedUnion("event", [
  StepEvent,
  /** The run has an id and waits for nothing but its workers. `url` is the coordinator page. */
  z.strictObject({
    event: z.literal("started"),
    run: z.string(),
    parameters: index,
    url: z.string().optional(),
  }),
  /** A new assignment: one line a worker. `speeds`: what was known of each when it was made. */
  z.strictObject({
    event: z.literal("plan"),
    generation: index,
    lines: z.array(z.string()),
    speeds: z.record(z.string(), WorkerSpeed).default({}),
  }),
  z.strictObject({ event: z.literal("worker"), worker: z.string(), site: z.string(), state: z.string() }),
  z.strictObject({ event: z.literal("valid"), step: index, loss: z.number(), tokens: index }),
  z.strictObject({ event: z.literal("sample"), step: index, text: z.string() }),
  /**
   * All of what the workers held after `step` is stored, but for what is said in `without`. Later steps may have been done
   * meanwhile.
   */
  z.strictObject({
    event: z.literal("checkpoint"),
    step: index,
    checkpoint: z.string(),
    without: z.array(z.string()).optional(),
  }),
  /** The checkpoint that was due after `step` will not be there: the one before stays the latest. */
  z.strictObject({ event: z.literal("unsaved"), step: index, reason: z.string() }),
  /** Workers were lost or replaced; the run goes on after `step`. */
  z.strictObject({ event: z.literal("recovered"), step: index, generation: index, reason: z.string() }),
  /** After an exchange, sites held different values of a part of the model; those of `worker` were replaced. */
  z.strictObject({ event: z.literal("repaired"), step: index, part: z.string(), worker: z.string() }),
  z.strictObject({ event: z.literal("paused"), paused: z.boolean() }),
  /** "configuration": no cluster like this one could do it, such as a model too large for its GPUs. */
  z.strictObject({
    event: z.literal("failed"),
    message: z.string(),
    cause: z.enum(["configuration", "failure"]),
  }),
  z.strictObject({ event: z.literal("stopped"), step: index }),
  DoneEvent,
]);
export type RunEvent = z.infer<typeof RunEvent>;

/** Of a worker's links: each replica of a site has one to every other, which is more than a snapshot has room for. */
export const LINKS_SHOWN = 16;

export const WorkerView = z.strictObject({
  id: z.string(),
  site: z.string(),
  name: z.string(),
  /** GPU, as people say it. */
  gpu: z.string(),
  browser: z.string(),
  /** Null until it was measured. */
  speed: WorkerSpeed.nullable(),
  /** "idle", "spare", "loading", "training", "paused": what the coordinator knows of it. */
  state: z.string(),
  /** Blocks it holds, "0-1 + embedding"; empty when none. */
  holds: z.string(),
  /** Workers that it reaches only through the server's relay. */
  relayed: z.array(z.string()),
  /** How fast it sends to others, of those that it was linked with; not all of many. */
  links: z.array(PeerSpeed).max(LINKS_SHOWN),
});
export type WorkerView = z.infer<typeof WorkerView>;

export const RunStatus = z.enum(["waiting", "preparing", "training", "paused", "done", "stopped", "failed"]);
export type RunStatus = z.infer<typeof RunStatus>;

export const RunView = z.strictObject({
  id: z.string(),
  config: RunConfig,
  status: RunStatus,
  step: index,
  siteBytesBy: bytesByPurpose,
  wideBytesBy: bytesByPurpose,
  ...tallies,
  /** Latest checkpoint, if any: what the download links of a run give. */
  checkpoint: z.string().nullable(),
});
export type RunView = z.infer<typeof RunView>;

export const Snapshot = z.strictObject({ workers: z.array(WorkerView), run: RunView.nullable() });
export type Snapshot = z.infer<typeof Snapshot>;

/** Events of the latest run so far, in order; the newest 5,000. */
export const History = z.strictObject({ run: z.string().nullable(), events: z.array(RunEvent) });
export type History = z.infer<typeof History>;
