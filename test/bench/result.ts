// What a benchmark leaves behind: the JSON files in docs/benchmarks, and what the page sends at its end.
import { z } from "zod";
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

/** What the page (or Dawn in Node) finds out by itself. */
export const Report = z.strictObject({
  adapter: z.string().min(1),
  measurements: z.array(Measurement),
});
export type Report = z.infer<typeof Report>;

export const Result = Report.extend({
  command: z.enum(["kernels", "step"]),
  /** "Chromium 156.0", "Firefox 153.7", "Dawn for Node 0.6". */
  runtime: z.string(),
  date: z.iso.date(),
  /** Versions of the packages that took part. */
  packages: z.partialRecord(contender, z.string()),
  processor: z.string(),
});
export type Result = z.infer<typeof Result>;
