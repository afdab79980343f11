// What docs/convergence/results.json holds.
import { z } from "zod";
import { RunConfig } from "../../../core/model/config.ts";

/** What a page reports of an experiment. */
export const Trained = z.strictObject({
  /** Validation loss, nats a token. */
  curve: z.array(z.strictObject({ step: z.number().int(), loss: z.number() })),
  /** Bytes of the frames that sites sent each other. */
  wideBytes: z.number().int(),
  tokens: z.number().int(),
  seconds: z.number(),
});
export type Trained = z.infer<typeof Trained>;

const Result = Trained.extend({
  name: z.string(),
  sites: z.number().int(),
  seed: z.number().int(),
  date: z.string(),
  config: RunConfig,
});
export type Result = z.infer<typeof Result>;
export const Results = z.array(Result);
