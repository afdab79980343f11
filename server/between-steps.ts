// What is due between two steps and waited for: the loss over the validation text, a sample.
// Not here: when each is due, and what becomes of it (run.ts); checkpoints (saves.ts).
import type { RunConfig } from "../core/model/config.ts";
import type { Plan } from "../core/plan/plan.ts";
import { sampleActivationBytes, validationActivationBytes } from "../core/plan/traffic.ts";
import { RunImpossible, type Cohort } from "./cohort.ts";
import type { Corpus } from "./corpus.ts";
import { meanLoss } from "./strategy/strategy.ts";

const SAMPLE_TOKENS = 48;
const SAMPLE_TEMPERATURE = 0.7;

interface Of {
  readonly config: RunConfig;
  readonly corpus: Corpus;
}

/** Of the committed step `step`. @throws RunImpossible when the loss is not finite */
export async function validate(
  cohort: Cohort,
  plan: Plan,
  step: number,
  { config, corpus }: Of,
): Promise<{ loss: number; tokens: number; activationBytes: number }> {
  const answers = await cohort.ask({ type: "validate", generation: cohort.generation, step }, "validated");
  const { loss, tokens } = meanLoss(plan.replicas, answers);
  if (!Number.isFinite(loss)) throw new RunImpossible(`step ${step}: the validation loss is not finite`);
  const { count, validFrom } = corpus.source;
  return { loss, tokens, activationBytes: validationActivationBytes(config, plan, count - validFrom) };
}

/** Text that the model goes on with after the corpus's prompt, and the prompt. */
export async function sample(
  cohort: Cohort,
  plan: Plan,
  step: number,
  { config, corpus: { prompt, tokenizer } }: Of,
): Promise<{ text: string; activationBytes: number }> {
  const first = plan.replicas[0]!.stages.map(({ worker }) => worker);
  const order = {
    type: "sample" as const,
    generation: cohort.generation,
    step,
    prompt,
    tokens: SAMPLE_TOKENS,
    temperature: SAMPLE_TEMPERATURE,
    seed: config.seed,
  };
  const answers = await cohort.ask(order, "sampled", first);
  return {
    text: tokenizer.decode([...prompt, ...answers.get(first.at(-1)!)!.tokens]),
    activationBytes: sampleActivationBytes(config, plan, prompt.length, SAMPLE_TOKENS),
  };
}
