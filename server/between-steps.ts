// What is due between two steps: the loss over the validation text, a sample, a checkpoint.
// Not here: when each is due, and what becomes of it (run.ts).
import type { RunConfig } from "../core/model/config.ts";
import type { Plan } from "../core/plan/plan.ts";
import type { Checkpoint, Checkpoints } from "./checkpoints.ts";
import { RunImpossible, type Cohort } from "./cohort.ts";
import type { Corpus } from "./corpus.ts";
import { meanLoss, type Strategy } from "./strategy/strategy.ts";

export const SAMPLE_TOKENS = 48;
const SAMPLE_TEMPERATURE = 0.7;

/** Of the committed step `step`. @throws RunImpossible when the loss is not finite */
export async function validate(
  cohort: Cohort,
  plan: Plan,
  step: number,
): Promise<{ loss: number; tokens: number }> {
  const answers = await cohort.ask({ type: "validate", generation: cohort.generation, step }, "validated");
  const { loss, tokens } = meanLoss(plan.replicas, answers);
  if (!Number.isFinite(loss)) throw new RunImpossible(`step ${step}: the validation loss is not finite`);
  return { loss, tokens };
}

/** Text that the model goes on with after the corpus's prompt, and the prompt. */
export async function sample(
  cohort: Cohort,
  plan: Plan,
  step: number,
  { prompt, tokenizer }: Corpus,
  { seed }: RunConfig,
): Promise<string> {
  const first = plan.replicas[0]!.stages.map(({ worker }) => worker);
  const order = {
    type: "sample" as const,
    generation: cohort.generation,
    step,
    prompt,
    tokens: SAMPLE_TOKENS,
    temperature: SAMPLE_TEMPERATURE,
    seed,
  };
  const answers = await cohort.ask(order, "sampled", first);
  return tokenizer.decode([...prompt, ...answers.get(first.at(-1)!)!.tokens]);
}

/** Has the state stored, and then the manifest that names it. */
export async function save(
  cohort: Cohort,
  { savers, tokens }: Strategy,
  step: number,
  run: string,
  {
    config,
    corpus,
    checkpoints,
  }: { readonly config: RunConfig; readonly corpus: Corpus; readonly checkpoints: Checkpoints },
): Promise<Checkpoint> {
  const answers = await cohort.ask({ type: "save", generation: cohort.generation, step }, "saved", savers);
  const checkpoint: Checkpoint = {
    id: `${run}-step-${step}`,
    run,
    step,
    model: config.model,
    optimizer: true,
    shards: savers.map((worker) => answers.get(worker)!.shard),
    ...(tokens && { tokens }),
    tokenizer: corpus.tokenizerHash,
  };
  await checkpoints.save(checkpoint);
  return checkpoint;
}
