// A run's configuration: one JSON file, one zod schema, types inferred from it.
// Not here: anything about the machines of a run (core/plan) or its messages (core/protocol).
import { z } from "zod";
import { CODECS, PLAIN_CODECS, SITE_CODECS } from "../reduce/codec.ts";

const count = z.number().int().positive();
/** What is made once for each, or times others: a number that is mistyped is to be met here. */
const atMost = (most: number) => count.max(most, `give at most ${most}`);
const positive = z.number().positive();

/**
 * Shape of a Llama-family model: RMSNorm, RoPE (half-rotated pairs), SwiGLU, grouped-query attention.
 * Linear layers have no bias. `ropeTheta` and `normEps` default to Llama's 10000 and 1e-5.
 */
export const ModelConfig = z
  .strictObject({
    layers: atMost(1024),
    width: atMost(65_536),
    heads: atMost(1024),
    kvHeads: atMost(1024),
    hidden: atMost(2 ** 18),
    context: atMost(2 ** 20),
    vocab: atMost(2 ** 20),
    tied: z.boolean(),
    ropeTheta: positive.default(10000),
    normEps: positive.default(1e-5),
  })
  .refine((m) => m.width % m.heads === 0, {
    message: "width must be a multiple of heads",
    path: ["width"],
  })
  .refine((m) => (m.width / m.heads) % 4 === 0, {
    message: "width / heads must be a multiple of 4: attention reads four values at a time",
    path: ["heads"],
  })
  .refine((m) => m.hidden % 4 === 0, {
    message: "hidden must be a multiple of 4: kernels read four values at a time",
    path: ["hidden"],
  })
  .refine((m) => m.heads % m.kvHeads === 0, {
    message: "heads must be a multiple of kvHeads",
    path: ["kvHeads"],
  });
export type ModelConfig = z.infer<typeof ModelConfig>;

export const OptimizerConfig = z.strictObject({
  lr: positive,
  minLr: z.number().min(0),
  warmup: z.number().int().min(0),
  beta1: z.number().min(0).lt(1),
  beta2: z.number().min(0).lt(1),
  eps: positive,
  weightDecay: z.number().min(0),
  clip: positive,
});
export type OptimizerConfig = z.infer<typeof OptimizerConfig>;

/** Streaming DiLoCo: core/plan/rounds.ts, core/reduce/outer.ts. */
export const RoundsConfig = z
  .strictObject({
    kind: z.literal("rounds"),
    /** Inner steps from one exchange of a fragment to the next. */
    inner: count,
    /** Parts of the model that are exchanged at different steps. */
    fragments: atMost(1024),
    /** Inner steps between the beginning of an exchange and its effect. */
    overlap: z.number().int().min(0),
    /** Of a value of a pseudo-gradient on the wire; 2: of the largest of each block alone; 1: the sign of each. */
    bits: z.literal([32, 16, 8, 4, 2, 1], "bits must be 1, 2, 4, 8, 16 or 32"),
    outerLr: positive,
    outerMomentum: z.number().min(0).lt(1),
    /** Share of a site's own values that it keeps when an exchange takes effect; 0 with 1 or 2 bits. */
    merge: z.number().min(0).lt(1),
  })
  .refine((s) => s.fragments <= s.inner, {
    message: "fragments cannot be more than inner: each is exchanged at a step of its own",
    path: ["fragments"],
  })
  .refine((s) => s.overlap === 0 || s.overlap < Math.floor(s.inner / s.fragments), {
    message: "overlap must be less than inner / fragments: one exchange at a time is under way",
    path: ["overlap"],
  })
  .refine((s) => s.bits > 2 || s.merge === 0, {
    message: "merge must be 0 with 1 or 2 bits: a site keeps all that it has not said anyway",
    path: ["merge"],
  });
export type RoundsConfig = z.infer<typeof RoundsConfig>;

export const StrategyConfig = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("sync"), gradients: z.enum(CODECS) }),
  RoundsConfig,
]);
export type StrategyConfig = z.infer<typeof StrategyConfig>;

export const RunConfig = z
  .strictObject({
    name: z.string().regex(/^[a-z0-9][a-z0-9-]{0,39}$/i, "use letters, digits and '-', 40 at most"),
    seed: z.number().int().min(0).max(0xffffffff),
    model: ModelConfig,
    init: z.string().min(1).nullable(),
    data: z.strictObject({
      text: z.string().min(1),
      tokenizer: z.string().min(1),
      valid: z.number().gt(0).lt(1),
    }),
    optimizer: OptimizerConfig,
    batch: atMost(2 ** 17),
    microbatch: atMost(2 ** 17),
    steps: atMost(1e9),
    strategy: StrategyConfig,
    activations: z.enum(PLAIN_CODECS),
    /** What a site's replicas send each other of their gradients. */
    siteGradients: z.enum(SITE_CODECS).default("f32"),
    recompute: z.boolean().default(false),
    /**
     * What kernels may read weights, queries, keys and values as, on GPUs that can; sums, gradients, moments and
     * the weights themselves are f32.
     */
    precision: z.enum(["f32", "f16"]).default("f32"),
    stages: z.union([z.literal("auto"), count], "use 'auto' or a whole number of stages"),
    checkpointEvery: count,
    /** The latest so many are kept, and older ones deleted. */
    keepCheckpoints: z.union([z.literal("all"), count], "use 'all' or a number of checkpoints").default(3),
    sampleEvery: count,
    validEvery: count,
  })
  .refine((r) => r.batch % r.microbatch === 0, {
    message: "batch must be a multiple of microbatch",
    path: ["microbatch"],
  })
  .refine((r) => r.stages === "auto" || r.stages <= r.model.layers, {
    message: "stages cannot be more than model.layers",
    path: ["stages"],
  })
  .refine(({ strategy, model }) => strategy.kind !== "rounds" || strategy.fragments <= model.layers, {
    message: "fragments cannot be more than model.layers",
    path: ["strategy", "fragments"],
  });
export type RunConfig = z.infer<typeof RunConfig>;

/** One line a problem, each with the path of the key it is about: `model.heads: expected number`. */
export function describeIssues(error: z.ZodError): string[] {
  return error.issues.map((issue) => {
    const path = issue.path.join(".");
    if (issue.code === "unrecognized_keys") {
      const prefix = path ? `${path}.` : "";
      return `unknown key ${issue.keys.map((key) => `'${prefix}${key}'`).join(", ")}; remove it or correct its spelling`;
    }
    return path ? `${path}: ${issue.message}` : issue.message;
  });
}
