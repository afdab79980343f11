// The benchmark of a whole training step: every contender trains the same Llama-like model, from the same values, on
// the same batch.
import type { ModelConfig } from "../../core/model/config.ts";
import { initialTensor, parameterSpace } from "../../core/model/parameters.ts";
import { Random } from "../../core/random.ts";
import type { Contender, StepProblem } from "./contender.ts";
import type { ContenderName } from "./names.ts";
import { STEP_COUNTED, stepFlops } from "./flops.ts";
import { benchModel, type ModelName } from "./models.ts";
import { referenceLosses } from "./reference-losses.ts";
import type { Measurement, Profile } from "./result.ts";
import { runRounds, type Entry } from "./rounds.ts";

const SEED = 1;
/** Relative, of the losses of the first steps. The first says whether forward is right, the others the update. */
const TOLERANCES = [1e-3, 1e-3, 1e-3];
const OUR_TOLERANCES = [1e-5, 1e-3, 1e-3];

const optimizer = { lr: 0.003, beta1: 0.9, beta2: 0.95, eps: 1e-8, weightDecay: 0.1, clip: 1 };

export async function benchStep(
  open: (name: ContenderName) => Promise<Contender>,
  names: readonly ContenderName[],
  name: ModelName,
  rounds: number,
  say: (line: string) => void,
): Promise<Measurement> {
  const { model, sequences, hasReference } = benchModel(name);
  const problem = stepProblem(model, sequences);
  if (hasReference) say("step: losses of the float64 reference");
  /** Without a reference, those of the first contender. */
  let expected = hasReference ? referenceLosses(problem, TOLERANCES.length) : null;
  const entries = names.map((name): Entry => ({
    contender: name,
    async prepare() {
      const training = await (await open(name)).training(problem);
      return {
        async check() {
          const losses: number[] = [];
          while (losses.length < TOLERANCES.length) {
            losses.push(await training.step());
            say(`step: ${name}: loss ${losses.at(-1)}`);
          }
          if (!expected) {
            if (!fallsFromChance(losses, model.vocab)) return "the loss does not fall from ln V";
            expected = losses;
          }
          return lossesAreWrong(losses, expected, name === "ours" ? OUR_TOLERANCES : TOLERANCES);
        },
        async run(times) {
          for (let i = 0; i < times; i++) await training.step();
        },
        async finish() {
          if (!training.profile) return;
          say(`step: ${name}: profile`);
          profile = await training.profile();
        },
        dispose: () => training.dispose(),
      };
    },
  }));
  let profile: Profile | undefined;
  const rows = await runRounds(entries, rounds, (line) => say(`step: ${line}`));
  const millions = (parameterSpace(model).parameters / 1e6).toFixed(2);
  return {
    title: `training step, ${millions} million parameters, ${sequences} × ${model.context} tokens`,
    flops: stepFlops(model, sequences),
    counted: STEP_COUNTED,
    rows,
    profile,
  };
}

function stepProblem(model: ModelConfig, sequences: number): StepProblem {
  const space = parameterSpace(model);
  const parameters = new Float32Array(space.size);
  for (const tensor of space.tensors) parameters.set(initialTensor(model, tensor, SEED), tensor.offset);
  const random = new Random(SEED);
  const tokens = sequences * model.context;
  // Small tokens are more common than large ones, so that there is something to learn.
  const draw = () =>
    Uint32Array.from({ length: tokens }, () => Math.floor(model.vocab * random.unit() * random.unit()));
  const batch = { inputs: draw(), targets: draw(), tokens };
  return { model, sequences, batch, parameters, optimizer };
}

/** Whether a training starts where a model that knows nothing stands, and learns. */
function fallsFromChance(losses: readonly number[], vocab: number): boolean {
  const starts = Math.abs(losses[0]! - Math.log(vocab)) < 0.5;
  return starts && losses.every((loss, i) => i === 0 || loss < losses[i - 1]!);
}

/** What is wrong with the first losses, or null. */
function lossesAreWrong(
  losses: readonly number[],
  expected: readonly number[],
  tolerances: readonly number[],
): string | null {
  const wrong = losses.findIndex((loss, i) => !(Math.abs(loss - expected[i]) <= tolerances[i] * expected[i]));
  return wrong < 0 ? null : `the loss of step ${wrong + 1} is ${losses[wrong]}, not ${expected[wrong]}`;
}
