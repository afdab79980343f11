// What is to be measured, as it goes to the page.
import { z } from "zod";
import { MODELS } from "./models.ts";
import { CONTENDERS } from "./names.ts";

export const Job = z.strictObject({
  command: z.enum(["kernels", "step", "reduce"]),
  contenders: z.array(z.enum(CONTENDERS)).min(1),
  rounds: z.number().int().positive(),
  /** Sides of the matrices of `kernels`. */
  sizes: z.array(z.number().int().positive()).min(1),
  /** What `step` trains. */
  model: z.enum(MODELS),
});
export type Job = z.infer<typeof Job>;
