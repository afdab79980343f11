// The words after `npm run bench --`.
import { parseArgs } from "node:util";
import { UserError } from "../../server/errors.ts";
import { parseCount } from "../../server/options.ts";
import { MODELS } from "./models.ts";
import { CONTENDERS, type ContenderName } from "./names.ts";
import type { Job } from "./job.ts";

export const USAGE =
  "npm run bench -- kernels|step|reduce|link|plan [--browser chromium|firefox] [--node] [--gpu] [--repeats N] [--sizes N,N] [--model small|smollm2-135m] [--only NAME,NAME] [--out FILE.json]";

const COMMANDS = ["kernels", "step", "reduce"] as const;
const BROWSERS = ["chromium", "firefox"] as const;
const DEFAULT_SIZES = "512,1024";
const DEFAULT_ROUNDS = "5";
const LARGEST_SIZE = 8192;
const MOST_ROUNDS = 1000;

export interface BenchOptions {
  readonly job: Job;
  readonly place: (typeof BROWSERS)[number] | "node";
  /** Let Chromium choose its adapter, also where the machine shows no GPU. */
  readonly gpu: boolean;
  /** Where the result goes; by default into docs/benchmarks. */
  readonly out: string | null;
}

/** @throws UserError naming the word that is not understood */
export function parseBenchOptions(args: string[]): BenchOptions {
  const { values, positionals } = words(args);
  const [command, ...rest] = positionals;
  if (!command) throw new UserError(`say what to measure: ${USAGE}`);
  if (rest.length > 0) throw new UserError(`'${rest[0]}' is one word too many: ${USAGE}`);
  if (values.node && values.browser) throw new UserError("give either --browser or --node");
  const place = values.node ? "node" : oneOf("--browser", values.browser ?? "chromium", BROWSERS);
  if (values.gpu && place !== "chromium")
    throw new UserError("--gpu is for Chromium: the others choose their adapter by themselves");
  const measured = oneOf("what to measure", command, COMMANDS);
  if (values.only && measured === "reduce")
    throw new UserError("--only is for kernels and step: codecs have no other contenders");
  const contenders = measured === "reduce" ? (["ours"] as const) : CONTENDERS;
  return {
    job: {
      command: measured,
      rounds: parseCount("--repeats", values.repeats ?? DEFAULT_ROUNDS, 1, MOST_ROUNDS),
      sizes: (values.sizes ?? DEFAULT_SIZES)
        .split(",")
        .map((size) => parseCount("--sizes", size, 1, LARGEST_SIZE)),
      model: oneOf("--model", values.model ?? "small", MODELS),
      contenders: values.only ? [...new Set(values.only.split(",").map(contender))] : [...contenders],
    },
    place,
    gpu: values.gpu ?? false,
    out: values.out ?? null,
  };
}

function words(args: string[]) {
  const value = { type: "string" } as const;
  const flag = { type: "boolean" } as const;
  try {
    return parseArgs({
      args,
      allowPositionals: true,
      options: {
        browser: value,
        node: flag,
        gpu: flag,
        repeats: value,
        sizes: value,
        model: value,
        only: value,
        out: value,
      },
    });
  } catch (error) {
    // Node's own words; what follows the first sentence is about programs, not people.
    const [what] = (error as Error).message.split(/[.\n]/);
    throw new UserError(`${what}: ${USAGE}`);
  }
}

const contender = (name: string): ContenderName => oneOf("--only", name, CONTENDERS);

function oneOf<const T extends string>(option: string, word: string, allowed: readonly T[]): T {
  const found = allowed.find((name) => name === word);
  if (found) return found;
  throw new UserError(`${option} is '${word}': use ${allowed.join(" or ")}`);
}
