// Does what is due between two steps: the loss over the validation text, a sample, the beginning of a checkpoint.
// Not here: when each is due (core/plan/due.ts), a checkpoint on its way (saves.ts).
import type { RunConfig } from "../core/model/config.ts";
import { dueAfter, type Due } from "../core/plan/due.ts";
import type { Plan } from "../core/plan/plan.ts";
import { sampleActivationBytes, validationActivationBytes } from "../core/plan/traffic.ts";
import type { RunEvent } from "../core/protocol/events.ts";
import { RunImpossible, type Cohort } from "./cohort.ts";
import type { Corpus } from "./corpus.ts";
import type { Saves } from "./saves.ts";
import { meanLoss, type Strategy } from "./strategy/strategy.ts";
import type { Tally } from "./tally.ts";

const SAMPLE_TOKENS = 48;
const SAMPLE_TEMPERATURE = 0.7;

interface Of {
  readonly config: RunConfig;
  readonly corpus: Corpus;
}

export interface BetweenStepsParts extends Of {
  readonly saves: Saves;
  readonly tally: Tally;
  readonly emit: (event: RunEvent) => void;
}

export class BetweenSteps {
  readonly #parts: BetweenStepsParts;
  /** After the latest step, and not done yet: what ends a generation meanwhile leaves it to the next. */
  #due: Due[] = [];

  constructor(parts: BetweenStepsParts) {
    this.#parts = parts;
  }

  get isDone(): boolean {
    return this.#due.length === 0;
  }

  /** `step` is committed. */
  follow(step: number): void {
    this.#due = dueAfter(this.#parts.config, step);
  }

  /** The run goes back: it comes to it once more. */
  forget(): void {
    this.#due = [];
  }

  /** @throws WorkerLost, RunImpossible */
  async finish(step: number, cohort: Cohort, plan: Plan, strategy: Strategy): Promise<void> {
    const { config, saves } = this.#parts;
    for (let due = this.#due[0]; due; due = this.#due[0]) {
      if (due === "validate") await this.#validate(step, cohort, plan);
      else if (due === "sample") await this.#sample(step, cohort, plan);
      // That after the last step is waited for, and tried again (run.ts).
      else if (step < config.steps) saves.begin(step, cohort, strategy);
      this.#due.shift();
    }
  }

  async #validate(step: number, cohort: Cohort, plan: Plan): Promise<void> {
    const { tally, emit } = this.#parts;
    const { loss, tokens, activationBytes } = await validate(cohort, plan, step, this.#parts);
    tally.activationBytesNeeded += activationBytes;
    tally.validLoss = loss;
    emit({ event: "valid", step, loss, tokens });
  }

  async #sample(step: number, cohort: Cohort, plan: Plan): Promise<void> {
    const { tally, emit } = this.#parts;
    const { text, activationBytes } = await sample(cohort, plan, step, this.#parts);
    tally.activationBytesNeeded += activationBytes;
    emit({ event: "sample", step, text });
  }
}

/** Of the committed step `step`. @throws RunImpossible when the loss is not finite */
async function validate(
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
async function sample(
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
