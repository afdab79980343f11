// What is to be trained in f32 and in f16, as it goes to the page, and what comes back.
import { z } from "zod";
import { RunConfig } from "../../core/model/config.ts";

export const Job = z.strictObject({
  /** The learning rate's schedule is that of `config.steps`; the tokenizer is bytes, whatever it says. */
  config: RunConfig,
  text: z.string().min(1),
});
export type Job = z.infer<typeof Job>;

const pair = z.strictObject({ f32: z.number(), f16: z.number() });

export const Report = z.strictObject({
  hasHalves: z.boolean(),
  /** Variants of attention that are wrong with queries, keys and values in f16. */
  wrongAttention: z.array(z.string()),
  /** Largest error of a product with a matrix in f16, relative to the largest result. */
  productError: z.number().min(0),
  /** Of the loss and the gradient of a model with a large vocabulary, relative. */
  largeVocabularyError: z.number(),
  /** Mean training loss of each step, nats. */
  losses: z.array(pair),
  /** Mean loss over the validation text after the last step, nats. */
  validation: pair,
  /** Median of a step's time. */
  seconds: pair,
});
export type Report = z.infer<typeof Report>;
