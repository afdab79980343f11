// What a benchmark leaves behind: the JSON files in docs/benchmarks, and what the page sends at its end.
import { z } from "zod";
import { CODECS } from "../../core/reduce/codec.ts";
import { CONTENDERS } from "./names.ts";

const contender = z.enum(CONTENDERS);

/** How one contender came off in one measurement. */
export const Row = z.discriminatedUnion("outcome", [
  z.strictObject({
    outcome: z.literal("measured"),
    contender,
    /** Seconds that one piece of work took, a sample each. */
    seconds: z.array(z.number().positive()).min(1),
    /** Pieces of work in a row that a sample is the mean of. */
    times: z.number().int().positive(),
  }),
  z.strictObject({
    outcome: z.enum(["wrong", "failed", "skipped"]),
    contender,
    why: z.string(),
  }),
]);
export type Row = z.infer<typeof Row>;

/** Where the time of a step goes. */
export const Profile = z.strictObject({
  /** Of a whole step, and of its part before the GPU gets the work, in seconds. */
  step: z.number().positive(),
  encode: z.number().min(0),
  /** Dispatches of a kind together, the longest first. */
  kernels: z.array(z.strictObject({ name: z.string(), calls: z.number().int(), seconds: z.number().min(0) })),
});
export type Profile = z.infer<typeof Profile>;

export const Measurement = z.strictObject({
  title: z.string(),
  /** Floating-point operations of one piece of work, by flops.ts. */
  flops: z.number().positive(),
  /** What was counted. */
  counted: z.string(),
  rows: z.array(Row),
  profile: Profile.optional(),
});
export type Measurement = z.infer<typeof Measurement>;

/** Seconds that all values took, a sample each. */
const Speeds = z.strictObject({
  encode: z.array(z.number().positive()).min(1),
  decode: z.array(z.number().positive()).min(1),
});

/** How fast codecs are, and what they lose. */
const Reducer = z.strictObject({
  codec: z.enum(CODECS),
  /** f32 values of the segment that is summed. */
  values: z.number().int().positive(),
  sites: z.number().int().min(2),
  /** Of one site's processor. */
  seconds: z.array(z.number().min(0)),
});
export type Reducer = z.infer<typeof Reducer>;

export const Codecs = z.strictObject({
  /** How many f32 values were encoded. */
  values: z.number().int().positive(),
  /** Encodings that `summed` is of. */
  rounds: z.number().int().positive(),
  rows: z.array(
    z.strictObject({
      codec: z.enum(CODECS),
      /** What the values take on the wire. */
      bytes: z.number().int().positive(),
      script: Speeds,
      /** Null for codecs without kernels. */
      gpu: Speeds.nullable(),
      /** ||said - wanted|| / ||wanted||, of one encoding and of the sum of all, with error feedback. */
      errors: z.array(
        z.strictObject({ data: z.string(), once: z.number().min(0), summed: z.number().min(0) }),
      ),
    }),
  ),
  reducers: z.array(Reducer).default([]),
});
export type Codecs = z.infer<typeof Codecs>;

/** What the page (or Dawn in Node) finds out by itself. */
export const Report = z.strictObject({
  adapter: z.string().min(1),
  measurements: z.array(Measurement),
  codecs: Codecs.optional(),
});
export type Report = z.infer<typeof Report>;

export const Result = Report.extend({
  command: z.enum(["kernels", "step", "reduce"]),
  /** "Chromium 156.0", "Firefox 153.7", "Dawn for Node 0.6". */
  runtime: z.string(),
  date: z.iso.date(),
  /** Versions of the packages that took part. */
  packages: z.partialRecord(contender, z.string()),
  processor: z.string(),
});
export type Result = z.infer<typeof Result>;
